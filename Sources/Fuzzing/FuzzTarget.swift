import Cryptography
import JSON
import Registration
import System

/// The readers of bytes from outside, each with what must hold whatever comes: it ends with a result or one of its own named errors, and
/// what it took is written and read again alike. A broken promise ends the process, which is what a fuzzer looks for.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// An upload file. An odd first byte stands for a container that is encrypted as it should be, an even one for raw bytes.
  case packet
  /// A sub-packet's zip, its JSON files, sequences and hashes.
  case zip
  /// A body between the mediators, and a bare envelope.
  case envelope
  /// A JSON text.
  case json
  /// A message of the bus.
  case message
  /// RIDs, UINs and VIDs.
  case identifier
  /// A route file, its cases, a `stage.yaml`: whatever is read as YAML.
  case yaml
  /// A Camel route file.
  case camel
  /// A `multipart/form-data` body; its first line stands for the content type.
  case multipart
  /// The head of a request and a form's body; its lines end with LF here.
  case httpHead = "http-head"
  /// A webhook's body, a body between the mediators, a hub's delivery or form; the first line stands for a header.
  case webhook
  /// The body of a trigger of OpenCRVS 1.9 or 2.x, or a bundle of 1.7 or 1.8.
  case trigger
  /// A CBEFF file with captures, or a record of them as the packet manager answers it.
  case biometrics
  /// An identity, against a schema with every kind of field.
  case identity
  /// What a MOSIP service or the object store answers; the first line stands for its name, the status and header fields.
  case answers
  /// A caller's access token: as it stands, or a header in the first line and a payload, which are signed then.
  case token

  /// Reads an input.
  public func run(_ input: [UInt8]) {
    switch self {
    case .packet: Self.packet(input)
    case .zip: Self.zip(input)
    case .envelope: Self.envelope(input)
    case .json: Self.json(input)
    case .message: Self.message(input)
    case .identifier: Self.identifier(input)
    case .yaml: Self.yaml(input)
    case .camel: Self.camel(input)
    case .multipart: Self.multipart(input)
    case .httpHead: Self.head(input)
    case .webhook: Self.webhook(input)
    case .trigger: Self.trigger(input)
    case .biometrics: Self.biometrics(input)
    case .identity: Self.identity(input)
    case .answers: Self.answers(input)
    case .token: Self.token(input)
    }
  }

  static let key: RSAPrivateKey = {
    guard let key = try? RSAPrivateKey.generate() else { fatalError("no key") }
    return key
  }()
  private static let certificate: Certificate = {
    guard let certificate = try? Certificate.selfSigned(for: key, commonName: "fuzz") else {
      fatalError("no certificate")
    }
    return certificate
  }()
  private static let limits = ZipLimits(entries: 50, entrySize: 4 << 20, totalSize: 8 << 20)

  private static func packet(_ input: [UInt8]) {
    guard let first = input.first else { return }
    named(PacketError.self) {
      let reader = PacketFileReader(key: key, signers: [key.publicKey], limits: limits)
      let rest = Array(input.dropFirst())
      let bytes = first & 1 == 1 ? try PacketEncryption.seal(rest, for: certificate) : rest
      let opened = try reader.open(MemorySource(bytes))
      // Nobody but the holder of the key can have made a signature that fits.
      guard opened.signedBy.isEmpty else { fatalError("a signature that nobody made") }
      _ = opened.contents.verify(schema: nil, mandatory: [])
    }
  }

  private static func zip(_ input: [UInt8]) {
    named(PacketError.self) {
      let info = try SubPacketInfo(metadata: ["signature": "AA", "encryptedhash": "AA"])
      let part = try SubPacket(name: .id, info: info, zip: input, limits: limits)
      var size = 0
      for name in part.fileNames {
        guard !name.contains("/"), !name.contains("\\"), name != ".." else { fatalError("a name that leads elsewhere") }
        let stem = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
        size += part.size(of: stem) ?? 0
        guard part.file(stem)?.count == part.size(of: stem) else { fatalError("a size that is not the file's") }
      }
      guard size <= limits.totalSize else { fatalError("more than the limits allow") }
      let contents = PacketContents(rid: "1", source: "a", processName: "b", subPackets: [.id: part])
      _ = contents.verify(schema: nil, mandatory: [])
      _ = (contents.audits, contents.metaInfo, contents.document("proofOfIdentity"), contents.schemaVersion)
    }
  }

  private static func envelope(_ input: [UInt8]) {
    named(EnvelopeError.self) {
      let body = try EnvelopeBody(json: input)
      for direction in EnvelopeDirection.allCases {
        guard try EnvelopeBody(json: body.json(direction)) == body else { fatalError("a body that changes") }
        named(EnvelopeError.self) {
          _ = try body.open(direction, with: key, from: [key.publicKey])
          fatalError("a signature that nobody made")
        }
      }
    }
    named(EnvelopeError.self) { _ = try Envelope.open(input, with: key) }
  }

  private static func json(_ input: [UInt8]) {
    named(JSONError.self) {
      let value = try JSONValue.parse(input)
      for pretty in [false, true] {
        guard try JSONValue.parse(value.encoded(pretty: pretty)) == value else { fatalError("a value that changes") }
      }
    }
  }

  private static func message(_ input: [UInt8]) {
    named(MessageError.self) {
      let message = try Message(decoding: input)
      _ = message.lastHopTimestamp
      let bytes = message.encoded()
      guard try Message(decoding: bytes).encoded() == bytes else { fatalError("a message that changes") }
    }
  }

  private static func identifier(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    named(IdentifierError.self) {
      let rid = try RID(text)
      guard rid.text == text, rid.text.utf8.count == RID.length, rid.timestamp.compact == text.suffix(14) else {
        fatalError("a RID that is another")
      }
    }
    let rules = UINRules()
    if rules.check(text) == nil, !rules.isAcceptedUpstream(text) { fatalError("a UIN that MOSIP refuses") }
    _ = VIDRules().check(text)
    if let bytes = Encoding.bytes(base64: input) {
      guard Encoding.bytes(base64: Encoding.base64(bytes)) == bytes else { fatalError("base64 that changes") }
    }
  }

  private static func biometrics(_ input: [UInt8]) {
    named(CBEFFError.self) {
      let json = try? JSONValue.parse(input)
      guard let record = try json.map({ try BiometricRecord(json: $0) }) ?? CBEFF.read(input) else { return }
      if json == nil {
        named(CBEFFError.self) {
          guard try CBEFF.read(input, by: .schema).segments.count == record.segments.count else {
            fatalError("a record that strictness changes")
          }
        }
      }
      guard record.segments.count <= CBEFF.mostSegments else { fatalError("more captures than the limit") }
      for segment in record.segments { named(BiometricSegment.TokenError.self) { _ = try segment.deviceToken() } }
    }
  }

  private static let schema: IdSchema = {
    let text = """
      {"type":"object","additionalProperties":false,"definitions":{"simpleType":{"type":"array","uniqueItems":true,"items":{"type":"object",
       "additionalProperties":false,"required":["language","value"],"properties":{"language":{"type":"string"},"value":{"type":"string"}}}},
       "documentType":{"type":"object","properties":{"refNumber":{"type":["string","null"]}}}},"properties":{"identity":{"type":"object",
       "additionalProperties":false,"required":["IDSchemaVersion","fullName"],"properties":{"IDSchemaVersion":{"type":"number","minimum":0},
       "fullName":{"$ref":"#/definitions/simpleType"},"proofOfIdentity":{"$ref":"#/definitions/documentType"},"phone":{"type":"string",
       "minLength":3,"validators":[{"type":"regex","validator":"^[+]*([0-9]{1})([0-9]{9})$"}]},"age":{"type":"integer","maximum":200}}}}}
      """
    guard let schema = try? IdSchema(json: Array(text.utf8)) else { fatalError("no schema") }
    return schema
  }()

  private static func identity(_ input: [UInt8]) {
    named(JSONError.self) {
      guard let identity = try JSONValue.parse(input).object else { return }
      let few = schema.violations(of: identity, mandatory: ["IDSchemaVersion"])
      let all = schema.violations(of: identity, mandatory: ["IDSchemaVersion", "fullName"], strictness: .all)
      guard Set(few).isSubset(of: all) || all.count >= 200 else { fatalError("a laxer check that finds more") }
    }
  }

  /// Runs a reader, which may only throw an error of its own.
  static func named<E: Error>(_: E.Type, _ body: () throws -> Void) {
    do { try body() } catch is E {} catch { fatalError("an error without a name: \(error)") }
  }
}
