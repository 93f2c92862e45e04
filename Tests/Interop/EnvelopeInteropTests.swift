import Cryptography
import Registration
import System
import Testing

@Suite("Envelopes and other people's code", .serialized, .timeLimit(.minutes(30))) struct EnvelopeInteropTests {
  static let plaintext = Array(#"{"uinToken":"123","name":"Zoë ليلى 田中"}"#.utf8)

  @Test(arguments: Peer.present, [2048, 3072, 4096])
  func `What another side seals we open, and what we seal it opens`(peer: Peer, bits: Int) async throws {
    try await Tool.withFolder { folder in
      let pair = try Keys.make("b", bits: bits, in: folder)
      for text in [Self.plaintext, [], SecureRandom.bytes(100_000)] {
        let theirs = peer("seal-envelope b.crt", text, in: folder)
        #expect(theirs.code == 0)
        #expect(try Envelope.open(theirs.output, with: pair.key) == text)
        let ours = peer("open-envelope b.key", try Envelope.seal(text, for: pair.certificate), in: folder)
        #expect(ours.code == 0 && ours.output == text)
      }
    }
  }

  @Test(
    arguments: Peer.present,
    EnvelopeDirection.allCases)
  func `Bodies go both ways in each direction, by the decoder the receiver really has`(peer: Peer, direction: EnvelopeDirection)
    async throws
  {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", in: folder)
      let way = direction.rawValue
      let ours = Tool.shell(
        "'\(Tool.regproc)' envelope seal --key a.key --cert b.crt --direction \(way)", Self.plaintext, in: folder)
      #expect(ours.code == 0)
      let read = peer("open-body \(way) b.key a.crt", ours.output, in: folder)
      #expect(read.code == 0 && read.output == Self.plaintext)

      let theirs = peer("seal-body \(way) a.key b.crt", Self.plaintext, in: folder)
      let opened = Tool.shell(
        "'\(Tool.regproc)' envelope open --key b.key --cert a.crt --direction \(way)", theirs.output, in: folder)
      #expect(opened.code == 0 && opened.output == Self.plaintext)
      // Signed by another: nothing comes out.
      let forged = Tool.shell(
        "'\(Tool.regproc)' envelope open --key b.key --cert b.crt --direction \(way) 2>/dev/null", theirs.output,
        in: folder)
      #expect(forged.code == 1 && forged.output.isEmpty)
    }
  }

  @Test(.enabled(if: Tool.has("openssl")))
  func `openssl on the command line unwraps our key, reads our ciphertext and verifies our signature`() async throws {
    try await Tool.withFolder { folder in
      let sender = try Keys.make("a", in: folder)
      let pair = try Keys.make("b", in: folder)
      let body = try EnvelopeBody.seal(
        Self.plaintext, .opencrvsToMosip, for: pair.certificate, signedBy: sender.key)
      let blob = body.data
      Tool.write(Array(blob[38..<294]), to: "\(folder)/wrapped")
      let key = Tool.shell(
        "cd '\(folder)' && openssl pkeyutl -decrypt -inkey b.key -in wrapped -pkeyopt rsa_padding_mode:oaep "
          + "-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256")
      #expect(key.output.count == 32)
      // GCM is counter mode from 2 on; the tag is what other tools check.
      let nonce = Encoding.hex(blob[308..<320]) + "00000002"
      let text = Tool.shell(
        "openssl enc -d -aes-256-ctr -K \(Encoding.hex(key.output)) -iv \(nonce)", Array(blob[340..<blob.count - 16]),
        in: folder)
      #expect(text.output == Self.plaintext)
      Tool.write(body.signature, to: "\(folder)/signature")
      let verified = Tool.shell(
        "openssl x509 -in a.crt -pubkey -noout > a.pub && openssl dgst -sha512 -verify a.pub -signature signature /dev/stdin >/dev/null",
        blob, in: folder)
      #expect(verified.code == 0)
      let thumbprint = Tool.shell(
        "cd '\(folder)' && openssl x509 -in b.crt -outform DER | openssl dgst -sha256 -binary")
      #expect(Array(blob[6..<38]) == thumbprint.output)
    }
  }

  @Test
  func `The bare envelope of the command line goes through both alphabets, and a refused one leaves no output`() async throws {
    try await Tool.withFolder { folder in
      try Keys.make("o", bits: 3080, in: folder)
      try Keys.make("other", in: folder)
      let regproc = "'\(Tool.regproc)'"
      let sealed = Tool.shell("\(regproc) envelope seal --raw --cert o.crt", Self.plaintext, in: folder)
      #expect(sealed.code == 0)
      for change in ["cat", "tr '+/' '-_'", "tr -d '='", "fold -w 64", "tr '+/' '-_' | tr -d '=\\n'"] {
        let opened = Tool.shell("\(change) | \(regproc) envelope open --raw --key o.key", sealed.output, in: folder)
        #expect(opened.code == 0 && opened.output == Self.plaintext, "\(change)")
      }
      for change in ["cut -c2-", "head -c 100", "tr 'A-Z' 'B-ZA'", "true", "sed 's/$/=/'"] {
        let refused = Tool.shell(
          "\(change) | \(regproc) envelope open --raw --key o.key 2>err", sealed.output, in: folder)
        #expect(refused.code == 1 && refused.output.isEmpty, "\(change)")
        #expect(!Tool.read("\(folder)/err").isEmpty)
      }
      let foreign = Tool.shell("\(regproc) envelope open --raw --key other.key 2>/dev/null", sealed.output, in: folder)
      #expect(foreign.code == 1 && foreign.output.isEmpty)
    }
  }

  @Test(.enabled(if: Tool.has("openssl")))
  func `A key that is too small is refused by name`() async throws {
    try await Tool.withFolder { folder in
      let made = Tool.shell(
        "cd '\(folder)' && openssl req -x509 -newkey rsa:1024 -nodes -keyout s.key -out s.crt -subj /CN=s 2>/dev/null")
      #expect(made.code == 0)
      for words in ["seal --raw --cert s.crt", "open --raw --key s.key"] {
        let refused = Tool.shell("'\(Tool.regproc)' envelope \(words) 2>&1", Self.plaintext, in: folder)
        #expect(refused.code == 1)
        #expect(String(decoding: refused.output, as: UTF8.self).contains("an RSA key of 1024 bits; at least 2048"))
      }
    }
  }

  @Test(arguments: EnvelopeDirection.allCases)
  func `Any flipped bit of data or signature is noticed in both directions`(direction: EnvelopeDirection) async throws {
    let sender = try RSAPrivateKey.generate()
    let key = try RSAPrivateKey.generate()
    let certificate = try Certificate.selfSigned(for: key, commonName: "b")
    let good = try EnvelopeBody.seal(Array("{}".utf8), direction, for: certificate, signedBy: sender)
    // With the certificate's thumbprint asked for: upstream's random one is covered by nothing on the way back.
    func isRefused(_ body: EnvelopeBody) -> Bool {
      (try? body.open(direction, with: key, from: [sender.publicKey], thumbprint: certificate.thumbprint)) == nil
    }
    #expect(!isRefused(good))
    for at in 0..<good.data.count {
      var changed = good
      changed.data[at] ^= 1 << (at % 8)
      #expect(isRefused(changed), "data \(at)")
    }
    for at in 0..<good.signature.count {
      var changed = good
      changed.signature[at] ^= 1 << (at % 8)
      #expect(isRefused(changed), "signature \(at)")
    }
    // And of the text itself, but for what the format leaves unsigned.
    let text = good.json(direction)
    var read = 0
    for at in text.count - 200..<text.count {
      var changed = text
      changed[at] ^= 1 << (at % 8)
      if let body = try? EnvelopeBody(json: changed) {
        read += 1
        #expect(isRefused(body), "text \(at)")
      }
    }
    #expect(read > 0, "some changes leave it a body")
  }
}
