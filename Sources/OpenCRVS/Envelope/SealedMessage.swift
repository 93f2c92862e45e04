import JSON
import StageKit
import System

/// The two mediators as owners of keys (`EnvelopeKeys`).
package enum MediatorOwner {
  /// The one on the side of OpenCRVS.
  package static let opencrvs = "opencrvs-mediator"
  /// The one on the side of MOSIP.
  package static let mosip = "mosip-mediator"
}

/// The body that goes between the mediators: `{"id","requestTime","data","signature"}`
/// (docs/upstream/opencrvs-and-websub.md#22-from-the-webhook-to-mosip and #23-envelope).
package struct SealedMessage: Sendable {
  /// Which base64 a direction writes.
  package enum Alphabet: Sendable {
    /// OpenCRVS to MOSIP.
    case standard
    /// MOSIP to OpenCRVS.
    case urlSafe
  }

  /// What the message is about, e.g. the key of a record.
  package var id: String
  /// The VER_R2 envelope.
  var envelope: [UInt8]
  var signature: [UInt8]

  /// Reads a body; both base64 alphabets are taken, padded or not.
  /// - Throws: OPN-CRVS-001 for what is no such JSON, -022 and -026 for data and signature that are no base64.
  package init(_ body: [UInt8], largest: Int) throws(MediatorError) {
    let value = try MediatorBodies.json(body, "the request", largest: largest)
    guard let data = value["data"]?.string, !data.isEmpty else {
      throw MediatorError(.unreadable, "the request has no data")
    }
    guard let signature = value["signature"]?.string, !signature.isEmpty else {
      throw MediatorError(.signature, "the request has no signature")
    }
    guard let envelope = Encoding.bytes(base64: data) else {
      throw MediatorError(.decryption, "the data is not base64")
    }
    guard let signatureBytes = Encoding.bytes(base64: signature) else {
      throw MediatorError(.signature, "the signature is not base64")
    }
    id = value["id"]?.string ?? ""
    self.envelope = envelope
    self.signature = signatureBytes
  }

  /// A message of an envelope that was sealed and signed already.
  package init(id: String, envelope: [UInt8], signature: [UInt8]) {
    self.id = id
    self.envelope = envelope
    self.signature = signature
  }

  /// The body to send.
  /// - Parameter now: its `requestTime`.
  package func encoded(_ alphabet: Alphabet, at now: Instant) -> [UInt8] {
    func text(_ bytes: [UInt8]) -> JSONValue {
      .string(alphabet == .standard ? Encoding.base64(bytes) : Encoding.base64URL(bytes))
    }
    let body: JSONValue = [
      "id": .string(id), "requestTime": .string(now.iso), "data": text(envelope), "signature": text(signature),
    ]
    return body.encoded()
  }

  /// Opens what was sealed for `owner` and proves who made it. The envelope is opened before or after the signature is
  /// checked, as the direction has it.
  /// - Throws: OPN-CRVS-022 when it was not made for this owner or was changed, -026 when the signature is not the
  ///   sender's.
  package func open(as owner: String, from sender: String, signed: Signed, _ keys: any EnvelopeKeys) async throws -> [UInt8] {
    if signed == .envelope { try await check(envelope, sender, keys) }
    let plaintext: [UInt8]
    do {
      plaintext = try await keys.open(envelope, as: owner)
    } catch let error as ServiceError where !error.isRetriable {
      throw MediatorError(.decryption, "the data cannot be decrypted")
    }
    if signed == .plaintext { try await check(plaintext, sender, keys) }
    return plaintext
  }

  /// What a signature is over.
  package enum Signed: Sendable {
    case envelope
    case plaintext
  }

  private func check(_ bytes: [UInt8], _ sender: String, _ keys: any EnvelopeKeys) async throws {
    let isRight: Bool
    do {
      isRight = try await keys.verify(bytes, signature: signature, of: sender)
    } catch let error as ServiceError where error.kind == .refused {
      isRight = false
    }
    guard isRight else { throw MediatorError(.signature, "the signature is not the sender's") }
  }
}
