import Cryptography
import Glibc
import JSON
import EmbeddedPlatform
import Registration
import System

/// `regproc packet inspect|verify|open`: what is in an upload file.
enum PacketFileCommands {
  static let inspect = Command(
    name: "packet inspect", summary: "shows a packet's tree: sizes, hashes, and who signed what",
    details: "Names of fields are shown, their values only with --reveal.", operands: [file],
    options: keys + [.flag("reveal", "values of fields and meta information, too"), .flag("json", "as JSON")],
    example: "packet inspect 10001100020000120240229235959.zip --key mosip-key.pem --signer machine.pem",
    run: runInspect)

  static let verify = Command(
    name: "packet verify", summary: "makes every check on a packet and names each with its result",
    details: "Exit code 0: all checks hold; 1: one does not, or the packet cannot be opened.", operands: [file],
    options: keys + [
      .text("schema", "FILE", "the id schema (default: the one of stages/packet-validator)"),
      .flag("json", "one object a line"),
    ], example: "packet verify 10001100020000120240229235959.zip --key mosip-key.pem --signer machine.pem",
    run: runVerify)

  static let open = Command(
    name: "packet open", summary: "takes a packet apart, once every signature and hash fits",
    details:
      "With --out every file goes to FOLDER/{sub-packet}/, which only its owner reads; with --reveal the identity to standard output.",
    operands: [file],
    options: keys + [
      .text("out", "FOLDER", "a new folder for the files"), .flag("reveal", "the identity's fields as JSON"),
    ],
    example: "packet open 10001100020000120240229235959.zip --key mosip-key.pem --signer machine.pem --out packet",
    run: runOpen)

  private static let file = Operand(name: "FILE", meaning: "the upload file, {packetId}.zip; `-` for standard input")
  private static let keys: [Option] = [
    .text("key", "PEM", "the private key the packet is encrypted for"),
    .text("signer", "PEM", "the machine's certificate or public key; several are tried", isRepeatable: true),
    .text("cert", "PEM", "the certificate the packet must name (default: any; the key decides)"),
    .text("ref-id", "ID", "center and machine of the sender (default: what the packet says)"),
    .number("max-mb", "N", 1...4096, "the most MiB that its files may have, unpacked (default: 256)"),
  ]

  /// Opens the file that a person names.
  private static func opened(
    _ arguments: Arguments, _ around: Surroundings, _ command: Command, needsSigner: Bool
  ) throws -> (packet: PacketFileReader.Opened, source: any ByteSource) {
    guard let keyFile = arguments.text("key") else { throw WrongUse("--key is missing", command) }
    guard !needsSigner || arguments.has("signer") else {
      throw WrongUse("--signer is missing: without it no signature can be checked", command)
    }
    let size = (arguments.integer("max-mb") ?? 256) << 20
    let reader = PacketFileReader(
      key: try KeyFiles.privateKey(keyFile),
      thumbprint: try arguments.text("cert").map { try KeyFiles.certificate($0).thumbprint },
      signers: try arguments.texts("signer").map(KeyFiles.publicKey),
      limits: ZipLimits(entrySize: size, totalSize: size),
      spoolFolder: Files.temporaryFolder(around))
    let most = size + size / 8 + 1 << 20
    let name = arguments.operands[0]
    let source: any ByteSource =
      name == "-"
      ? try StandardInput.source(limit: most, folder: Files.temporaryFolder(around)) : try FileSource(path: name)
    guard source.count <= most else { throw Failure("\(name) is larger than a packet may be (--max-mb)") }
    return (try reader.open(source, refId: arguments.text("ref-id")), source)
  }

  private static func runInspect(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let (packet, source) = try opened(arguments, around, inspect, needsSigner: false)
    var hash = HashStream(.sha256)
    try source.forEachPiece { hash.update($0) }
    let tree = PacketTree(
      file: arguments.operands[0], size: source.count, hash: Encoding.upperHex(hash.finish()), packet: packet,
      signers: arguments.texts("signer"), reveals: arguments.has("reveal"))
    if arguments.has("json") {
      try around.console.deliver(VisibleText.json(try tree.json().encoded() + [10]))
    } else {
      try around.console.deliver(Array(VisibleText.of(try tree.text(), keepingLines: true).utf8))
    }
    return 0
  }

  private static func runVerify(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let schema = try (arguments.text("schema") ?? PacketOptions.shippedSchema(around)).map {
      try IdSchema(json: Files.read($0))
    }
    guard arguments.has("key"), arguments.has("signer") else {
      throw WrongUse("--\(arguments.has("key") ? "signer" : "key") is missing", verify)
    }
    var results: [PacketCheckResult]
    do {
      let packet = try opened(arguments, around, verify, needsSigner: true).packet
      let contents = packet.contents
      let findings =
        packet.findings + contents.verify(schema: schema, mandatory: IdObjectRules.mosip.mandatory(contents.process) ?? [])
      results = PacketCheckResult.all(of: contents, findings, hasSchema: schema != nil)
    } catch let error as PacketError {
      // What cannot be opened has failed one check; no other could be made.
      results = [PacketCheckResult(check: error.code.description, subPacket: nil, faults: [error.message])]
    }
    var table = TextTable(head: ["sub-packet", "check", "result"])
    for result in results {
      if arguments.has("json") {
        try around.console.deliver(VisibleText.json(result.json.encoded() + [10]))
      } else {
        table.add([result.subPacket ?? "-", result.check, result.words])
      }
    }
    if !arguments.has("json") { around.console.out(table.rendered(around.console)) }
    return results.allSatisfy { $0.faults.isEmpty } ? 0 : 1
  }

  private static func runOpen(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    guard arguments.has("out") || arguments.has("reveal") else {
      throw WrongUse("--out FOLDER or --reveal is missing", open)
    }
    let packet = try opened(arguments, around, open, needsSigner: true).packet
    let findings = packet.findings + packet.contents.verify(schema: nil, mandatory: [])
    guard findings.isEmpty else {
      throw Failure("packet: notIntact: \(findings.map(\.description).joined(separator: ", ").withoutControls)")
    }
    if let folder = arguments.text("out") { try extract(packet.contents, to: folder) }
    if arguments.has("reveal") {
      var identity = JSONObject()
      for part in SubPacketName.allCases.reversed() {
        for member in packet.contents.subPackets[part]?.identity ?? [:] where identity[member.key] == nil {
          identity[member.key] = member.value
        }
      }
      try around.console.deliver(JSONValue.object(["identity": .object(identity)]).encoded(pretty: true) + [10])
    }
    return 0
  }

  /// Everything is there or nothing: written beside the folder, which then gets its name.
  private static func extract(_ contents: PacketContents, to folder: String) throws {
    guard !Files.exists(folder) else { throw Failure("\(folder) is there already") }
    let other = folder + ".\(SecureRandom.uuid())"
    try Files.makeFolder(other, mode: 0o700)
    var written: [String] = []
    do {
      for (name, part) in contents.subPackets.sorted(by: { $0.key < $1.key }) {
        try Files.makeFolder("\(other)/\(name.rawValue)", mode: 0o700)
        written.append("\(other)/\(name.rawValue)")
        for fileName in part.fileNames {
          let path = "\(other)/\(name.rawValue)/\(fileName)"
          let file = try OutputFile(path)
          _ = try part.read(stem(fileName)) { try file.write($0) }
          try file.commit()
          written.append(path)
        }
      }
      guard rename(other, folder) == 0 else { throw Failure("\(folder) cannot be made: \(Files.reason())") }
    } catch {
      for path in written.reversed() { remove(path) }
      rmdir(other)
      throw error
    }
  }

  /// A file's name as readers find it.
  static func stem(_ name: String) -> String { name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name }
}
