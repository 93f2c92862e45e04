import Cryptography
import EmbeddedPlatform
import System

/// `regproc keys export` and `keys import`: certificates between the two sides. Private keys stay where they are.
enum KeyExchangeCommand {
  static let export = Command(
    name: "keys export", summary: "prints the certificate of a key of ours, for a partner",
    details: """
      It prints PEM on standard output, and makes the key pair if there is none yet. The SHA-256 is on standard error: have the partner
      compare it over another channel. The private key never leaves the data folder (docs/two-sides.md).
      """,
    operands: [Operand(name: "NAME", meaning: "the key's name, e.g. envelope-opencrvs-mediator or tokens")], takesSettings: true,
    example: "keys export envelope-opencrvs-mediator --data /data > opencrvs-mediator.pem", run: runExport)

  static let take = Command(
    name: "keys import", summary: "takes a partner's certificate into the data folder",
    details: """
      The name says what the certificate is for. `envelope-mosip-mediator` and `envelope-opencrvs-mediator`: messages are sealed for it and
      its signatures believed. `tokens-CLIENT`: access tokens of that client, signed by the other side's key `tokens`, are believed; tokens
      of other clients are not, and the client has the roles that it has here.
      """,
    operands: [
      Operand(name: "NAME", meaning: "the name under which it is looked for"),
      Operand(name: "FILE", meaning: "the certificate, PEM or DER; - for standard input"),
    ],
    options: [.flag("replace", "also in place of another certificate of that name")], takesSettings: true,
    example: "keys import envelope-mosip-mediator mosip-mediator.pem --data /data", run: runImport)

  /// The key folder of the settings, made when it is missing.
  private static func folder(_ settings: Settings) throws -> KeyFolder {
    try Files.makeFolder(settings.data)
    try Files.makeFolder(settings.data + "/platform", mode: 0o700)
    return try KeyFolder(folder: settings.data + "/platform/keys", partners: settings.partnerKeys)
  }

  private static func name(_ arguments: Arguments) throws -> String {
    let name = arguments.operand(0) ?? ""
    guard KeyInventory.isKeyPair(name) else {
      throw Failure(
        "no key pair is called `\(Showing.withoutSecretParts(name))`: envelope-..., tokens, tokens-..., client, sign-..., registration-..."
      )
    }
    return name
  }

  private static func runExport(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let name = try name(arguments)
    let certificate = try folder(settings).pair(name).certificate
    around.console.out(certificate.pem)
    let thumbprint = Encoding.hex(certificate.thumbprint)
    around.console.err("\(name): SHA-256 \(thumbprint), valid until \(certificate.notAfter.iso.prefix(10))\n")
    return 0
  }

  private static func runImport(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let name = try name(arguments)
    let file = arguments.operand(1) ?? ""
    let bytes = try file == "-" ? StandardInput.read(limit: 1 << 20) : Files.read(file)
    let certificate: Certificate
    do {
      certificate = try Certificate(bytes: bytes)
    } catch {
      throw Failure("\(file) has no certificate with an RSA key: \(error)")
    }
    guard Instant.now < certificate.notAfter else {
      throw Failure("the certificate in \(file) ended on \(certificate.notAfter.iso.prefix(10))")
    }
    let isNew = try folder(settings).importCertificate(certificate, as: name, replaces: arguments.has("replace"))
    around.console.out("\(name): SHA-256 \(Encoding.hex(certificate.thumbprint))\(isNew ? "" : ", which is there already")\n")
    around.console.err("Compare the SHA-256 with the one that the partner tells you over another channel.\n")
    return 0
  }
}
