import TestSupport
import Cryptography
import HTTP
import StageKit
import System
import Testing

@testable import MosipPlatform

/// The key with which MOSIP signs credentials is changed now and then.
@Suite(.timeLimit(.minutes(30))) struct KeyRotationTests {
  private static let signer = "CREDENTIAL_SERVICE"

  @Test func `a proof of an earlier key of MOSIP's counts, and not for ever`() async throws {
    try await World.run { world async throws in
      let keys = world.mosip.keys
      let payload = Array("a credential".utf8)
      func key(endsDaysAgo days: Double) throws -> RSAPrivateKey {
        let key = try RSAPrivateKey.generate()
        // A revoked key's certificate would go on: its end stands in the key manager's own account.
        let certificate = try Certificate.selfSigned(for: key, commonName: "KERNEL")
        world.standIn.hadKey(certificate, until: Instant.now.advanced(bySeconds: -days * 86_400))
        return key
      }
      func proof(_ key: RSAPrivateKey) throws -> String {
        try JWS.sign(
          payload, with: key, certificates: [.selfSigned(for: key, commonName: "KERNEL")], thumbprint: true, detached: true)
      }
      func counts(_ key: RSAPrivateKey) async throws -> Bool {
        try await keys.verifyJWS(proof(key), payload: payload, application: Self.signer)
      }
      let (previous, ended, old) = (try key(endsDaysAgo: -300), try key(endsDaysAgo: 20), try key(endsDaysAgo: 40))
      // The key of now needs no list.
      let own = try await keys.signJWS(payload, application: Self.signer, detached: true)
      #expect(try await keys.verifyJWS(own, payload: payload, application: Self.signer))
      #expect(world.standIn.count("/getAllCertificates") == 0)

      #expect(try await counts(previous))
      #expect(try await keys.verifyJWS(proof(previous), payload: payload + [0], application: Self.signer) == false)
      #expect(try await counts(ended), "what was signed before may still be under way")
      #expect(try await counts(old) == false)
      let stranger = try RSAPrivateKey.generate()
      #expect(try await counts(stranger) == false)
      #expect(world.standIn.count("/getAllCertificates") == 1, "strangers do not make the key manager answer for each")

      // A key that was changed since is known after a moment.
      let next = try key(endsDaysAgo: -1)
      world.waits.advance(11)
      #expect(try await counts(next))

      // While the list cannot be had nothing is refused for good; a key manager without the endpoint has none to show.
      world.waits.advance(11)
      for _ in 1...20 { world.standIn.next("/getAllCertificates", .answer(Response(status: 503))) }
      #expect(await fault { try await counts(next) }?.isRetriable == true)
    }
  }

  @Test func `a key manager without the list has its key of now alone`() async throws {
    try await World.run { world async throws in
      let keys = world.mosip.keys
      let stranger = try RSAPrivateKey.generate()
      let proof = try JWS.sign([1], with: stranger, detached: true)
      world.standIn.next("/getAllCertificates", .answer(Response(status: 404)))
      #expect(try await keys.verifyJWS(proof, payload: [1], application: Self.signer) == false)
      #expect(world.standIn.count("/getAllCertificates") == 1)
    }
  }
}
