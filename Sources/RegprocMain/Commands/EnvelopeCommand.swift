import Cryptography
import JSON
import OpenCRVS
import Registration
import System

/// `regproc envelope ...`: what the two mediators send each other, made and opened by hand.
enum EnvelopeCommand {
  static let seal = Command(
    name: "envelope seal", summary: "seals and signs standard input for the other mediator",
    details: """
      Writes the body {"id","requestTime","data","signature"} with the base64 alphabet and the signature over the bytes that the
      direction asks for. With --raw it writes the bare envelope in base64, unsigned.
      """,
    options: [
      .text("cert", "PEM", "the certificate of the one who is to open it"),
      .text("key", "PEM", "the sender's private key, RSA of 2048 bits or more"), direction,
      .text("id", "TEXT", "the body's id, e.g. the composition's (default: empty)"),
      .flag("raw", "only the envelope, without signature and body"),
    ],
    example: "envelope seal --key opencrvs-key.pem --cert mosip-cert.pem --direction crvs-to-mosip < event.json",
    run: runSeal)

  static let open = Command(
    name: "envelope open", summary: "verifies and opens an envelope from standard input",
    details: """
      Writes the plaintext, or nothing at all if signature, key or content do not fit. The signature is always verified. With --raw it
      takes the bare envelope in base64 of either alphabet, which has no signature.
      """,
    options: [
      .text("key", "PEM", "the private key of the one it was sealed for"),
      .text(
        "cert", "PEM", "the sender's certificate or public key; give several while keys are being exchanged", isRepeatable: true),
      direction, .flag("raw", "only the envelope, without signature and body"),
    ],
    example: "envelope open --key mosip-key.pem --cert opencrvs-cert.pem --direction crvs-to-mosip < body.json",
    run: runOpen)

  private static let direction = Option(
    name: "direction", value: "WAY", meaning: "crvs-to-mosip or mosip-to-crvs",
    check: { EnvelopeDirection(rawValue: $0) == nil ? "crvs-to-mosip or mosip-to-crvs" : nil })

  /// What the mediators take, here as there: an event, and the body that it is sealed in.
  private static let largestEvent = EventLimits.forwarded
  private static let limit = EventLimits.sealed

  private static func input(_ what: String, limit: Int) throws -> [UInt8] {
    try StandardInput.read(limit: limit) { Failure("\(EventLimits.refusal(of: what, above: limit))") }
  }

  private static func required(_ name: String, _ arguments: Arguments, _ command: Command) throws -> String {
    guard let text = arguments.text(name) else { throw WrongUse("--\(name) is missing", command) }
    return text
  }

  private static func refuse(_ names: [String], _ arguments: Arguments, _ command: Command) throws {
    for name in names where arguments.has(name) { throw WrongUse("--\(name) has no meaning with --raw", command) }
  }

  private static func runSeal(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let way = arguments.text("direction").flatMap(EnvelopeDirection.init)
    let certificateFile = try required("cert", arguments, seal)
    var plaintext: [UInt8] = []
    defer { plaintext.cleanse() }
    if arguments.has("raw") {
      try refuse(["key", "id"], arguments, seal)
      let certificate = try KeyFiles.certificate(certificateFile)
      plaintext = try input("the event", limit: largestEvent)
      let envelope = try Envelope.seal(plaintext, for: certificate)
      try around.console.deliver(Array((way ?? .opencrvsToMosip).base64(envelope).utf8) + [UInt8(ascii: "\n")])
      return 0
    }
    let keyFile = try required("key", arguments, seal)
    guard let way else { throw WrongUse("--direction is missing: crvs-to-mosip or mosip-to-crvs", seal) }
    let certificate = try KeyFiles.certificate(certificateFile)
    let key = try KeyFiles.privateKey(keyFile)
    plaintext = try input("the event", limit: largestEvent)
    // On the way back upstream leaves both empty (docs/upstream/packet-and-crypto.md#32-directions-and-asymmetries).
    let time = way == .opencrvsToMosip ? Instant.now.iso : ""
    let body = try EnvelopeBody.seal(
      plaintext, way, id: arguments.text("id") ?? "", requestTime: time, for: certificate, signedBy: key)
    try around.console.deliver(body.json(way) + [UInt8(ascii: "\n")])
    return 0
  }

  private static func runOpen(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let keyFile = try required("key", arguments, open)
    var plaintext: [UInt8]
    if arguments.has("raw") {
      try refuse(["cert"], arguments, open)
      let key = try KeyFiles.privateKey(keyFile)
      let text = try input("the envelope", limit: limit)
      // Tools break base64 into lines.
      guard let envelope = Encoding.bytes(base64: text.filter { ![9, 10, 13, 32].contains($0) }) else {
        throw Failure("envelope: badBase64: standard input is no base64 of one alphabet")
      }
      plaintext = try Envelope.open(envelope, with: key)
    } else {
      _ = try required("cert", arguments, open)
      guard let way = arguments.text("direction").flatMap(EnvelopeDirection.init) else {
        throw WrongUse("--direction is missing: crvs-to-mosip or mosip-to-crvs", open)
      }
      let key = try KeyFiles.privateKey(keyFile)
      let senders = try arguments.texts("cert").map(KeyFiles.publicKey)
      let body = try EnvelopeBody(json: input("the request", limit: limit), limits: JSONLimits(maximumBytes: limit))
      plaintext = try body.open(way, with: key, from: senders)
    }
    defer { plaintext.cleanse() }
    try around.console.deliver(plaintext)
    return 0
  }
}

/// Keys and certificates that a person names by their files.
enum KeyFiles {
  /// An X.509 certificate in PEM or DER.
  static func certificate(_ path: String) throws -> Certificate {
    let bytes = try Files.read(path, limit: 1 << 20)
    return try named(path) { try Certificate(bytes: bytes) }
  }

  /// A private key in PEM, whose file's content is wiped after reading.
  static func privateKey(_ path: String) throws -> RSAPrivateKey {
    // A file in one piece of memory; a pipe has no size to read it by.
    let file = try? FileSource(path: path)
    guard file?.count ?? 0 <= 1 << 20 else { throw Failure("\(path) is larger than 1 MiB") }
    var bytes = try (try? file?.bytes()) ?? Files.read(path, limit: 1 << 20)
    defer { bytes.cleanse() }
    return try named(path) { try RSAPrivateKey(pem: bytes) }
  }

  /// The key of a certificate, or a `PUBLIC KEY` in PEM.
  static func publicKey(_ path: String) throws -> RSAPublicKey {
    let bytes = try Files.read(path, limit: 1 << 20)
    return try named(path) {
      let text = String(decoding: bytes, as: UTF8.self)
      if text.contains("-----BEGIN PUBLIC KEY-----") { return try RSAPublicKey(pem: text) }
      return try Certificate(bytes: bytes).publicKey
    }
  }

  private static func named<T>(_ path: String, _ body: () throws -> T) throws -> T {
    do { return try body() } catch let error as CryptographyError { throw Failure("\(path): \(error)") }
  }
}
