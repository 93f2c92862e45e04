import Cryptography
import JSON
import Registration
import System

/// `regproc packet create`: a packet as MOSIP's packet manager makes it, from files.
enum PacketCreateCommand {
  static let command = Command(
    name: "packet create", summary: "makes, signs and encrypts a packet",
    details: """
      Documents and biometrics are read piece by piece: a packet may be larger than the memory. Without --rid a RID is made up. The file
      is {packetId}.zip (which is encrypted and no readable zip, as upstream has it); standard output has what the sync record needs.
      """,
    options: [
      .text("fields", "FILE", "JSON object of identity fields by name"),
      .text("process", "NAME", "e.g. OPENCRVS_NEW, without an iteration"),
      .text("cert", "PEM", "the certificate the packet is encrypted for"),
      .text("key", "PEM", "the machine's private key, which signs"),
      .text("rid", "RID", "the registration id"), .text("source", "NAME", "e.g. OPENCRVS (the default)"),
      .text("ref-id", "ID", "center and machine, e.g. 10001_10002 (default: of the RID)"),
      .text("schema", "FILE", "the id schema (default: the one of stages/packet-validator)"),
      .text("schema-version", "N", "its version (default: 0.1)"),
      .text("document", "FIELD=TYPE:FILE", "a document; its format is the file's extension", isRepeatable: true),
      .text("biometrics", "FIELD=FILE", "CBEFF XML of a field", isRepeatable: true),
      .text("officer", "FILE", "CBEFF XML of the officer"), .text("supervisor", "FILE", "CBEFF XML of the supervisor"),
      .text("meta", "FILE", "JSON object of meta information"),
      .text("audits", "FILE", "JSON array of audits (default: one that says who made it)"),
      .flag("offline", "name the file as the registration client does"),
      .text("additional-info", "ID", "the additional-info request it answers"),
      .number("iteration", "N", 1...999, "which answer it is; the process is then stored with it"),
      .text("time", "ISO", "time of making (default: now)"),
      .text(
        "out", "FILE",
        "where it is written (default: {packetId}.zip); `-` for standard output, what is told then goes to standard error"),
      .flag("json", "what was made, as JSON"),
    ],
    example: "packet create --fields fields.json --process OPENCRVS_NEW --cert mosip.pem --key machine-key.pem "
      + "--document proofOfIdentity=DOC001:passport.pdf",
    run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    for name in ["fields", "process", "cert", "key"] where !arguments.has(name) {
      throw WrongUse("--\(name) is missing", command)
    }
    let draft = try draft(arguments, around)
    let writer = PacketFileWriter(
      certificate: try KeyFiles.certificate(arguments.text("cert")!),
      signingKey: try KeyFiles.privateKey(arguments.text("key")!),
      spoolFolder: Files.temporaryFolder(around))
    let path = arguments.text("out") ?? draft.packetId + ".zip"
    // Checked before the name becomes a path.
    guard !draft.packetId.contains("/") else { throw Failure("a packet id that cannot be a file's name") }
    let written: PacketFileWriter.Written
    if path == "-" {
      // Nothing goes out of a packet that cannot be made.
      let spool = Spool(folder: Files.temporaryFolder(around))
      written = try writer.write(draft) { try spool.append($0) }
      try spool.finish().forEachPiece { try around.console.deliver(Array($0)) }
    } else {
      let file = try OutputFile(path)
      written = try writer.write(draft) { try file.write($0) }
      try file.commit()
    }
    if !written.ignoredFields.isEmpty {
      around.console.err(
        "regproc: the id schema does not know, so not written: \(written.ignoredFields.joined(separator: ", "))\n")
    }
    let about = report(written, draft, path, asJSON: arguments.has("json"))
    if path == "-" { around.console.err(String(decoding: about, as: UTF8.self)) } else { try around.console.deliver(about) }
    return 0
  }

  /// What the sync record needs.
  private static func report(
    _ written: PacketFileWriter.Written, _ draft: PacketDraft, _ path: String, asJSON: Bool
  ) -> [UInt8] {
    if asJSON {
      let about: JSONValue = [
        "file": .string(path), "packetId": .string(written.packetId), "rid": .string(draft.rid),
        "refId": .string(draft.refId),
        "process": .string(draft.processName), "packetSize": .number(JSONNumber(written.size)),
        "packetHashValue": .string(written.hash), "ignoredFields": .array(written.ignoredFields.map(JSONValue.string)),
      ]
      return about.encoded() + [10]
    }
    return Array(
      """
      file              \(path)
      packetId          \(written.packetId)
      rid               \(draft.rid)
      refId             \(draft.refId)
      packetSize        \(written.size)
      packetHashValue   \(written.hash)

      """.utf8)
  }

  private static func draft(_ arguments: Arguments, _ around: Surroundings) throws -> PacketDraft {
    let now = try moment(arguments)
    let rid = try arguments.text("rid").map { try RID($0).text } ?? madeUp(at: now)
    let refId = arguments.text("ref-id") ?? "\(rid.prefix(5))_\(rid.dropFirst(5).prefix(5))"
    guard let schemaFile = try arguments.text("schema") ?? PacketOptions.shippedSchema(around) else {
      throw WrongUse("--schema is missing, and there is no stages/packet-validator/id-schema.json here", command)
    }
    let fields = try object(arguments.text("fields")!, "fields")
    var draft = PacketDraft(
      rid: rid, source: arguments.text("source") ?? "OPENCRVS", process: arguments.text("process")!, refId: refId,
      schemaVersion: arguments.text("schema-version") ?? "0.1", schema: try IdSchema(json: Files.read(schemaFile)),
      fields: Dictionary((fields["identity"]?.object ?? fields).map { ($0.key, $0.value) }) { _, last in last },
      metaInfo: try arguments.text("meta").map { try object($0, "meta information") } ?? [:],
      audits: try audits(arguments, rid, now), creationDate: now)
    for text in arguments.texts("document") { try addDocument(text, to: &draft) }
    for text in arguments.texts("biometrics") {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else { throw WrongUse("--biometrics must be FIELD=FILE", command) }
      draft.biometricSources[parts[0]] = try FileSource(path: parts[1])
    }
    draft.officerBiometrics = try arguments.text("officer").map { try Files.read($0) }
    draft.supervisorBiometrics = try arguments.text("supervisor").map { try Files.read($0) }
    draft.mode = arguments.has("offline") ? .offline : .online
    draft.additionalInfoRequestId = arguments.text("additional-info")
    draft.iteration = arguments.integer("iteration")
    return draft
  }

  private static func addDocument(_ text: String, to draft: inout PacketDraft) throws {
    let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
    let place = parts.count == 2 ? parts[1].split(separator: ":", maxSplits: 1).map(String.init) : []
    guard place.count == 2, let dot = place[1].lastIndex(of: "."),
      case let format = String(place[1][place[1].index(after: dot)...]),
      !format.isEmpty, !format.contains("/")
    else { throw WrongUse("--document must be FIELD=TYPE:FILE, the file with an extension", command) }
    draft.documents[parts[0]] = PacketDocument(source: try FileSource(path: place[1]), type: place[0], format: format)
  }

  private static func audits(_ arguments: Arguments, _ rid: String, _ now: Instant) throws -> [JSONObject] {
    guard let file = arguments.text("audits") else {
      return [
        [
          "uuid": .string(SecureRandom.uuid()), "createdAt": .string(now.iso), "eventId": "REGPROC_CREATE_PACKET",
          "eventName": "packet created", "eventType": "USER", "actionTimeStamp": .string(now.iso),
          "hostName": "localhost",
          "hostIp": "127.0.0.1", "applicationId": "regproc", "applicationName": "REGPROC", "id": .string(rid),
          "idType": "REGISTRATION_ID",
        ]
      ]
    }
    guard let list = try parse(file).array, case let objects = list.compactMap(\.object), objects.count == list.count
    else {
      throw Failure("\(file): audits are a JSON array of objects")
    }
    return objects
  }

  private static func object(_ file: String, _ what: String) throws -> JSONObject {
    guard let object = try parse(file).object else { throw Failure("\(file): the \(what) are a JSON object") }
    return object
  }

  private static func parse(_ file: String) throws -> JSONValue {
    let bytes = try Files.read(file)
    do { return try JSONValue.parse(bytes) } catch { throw Failure("\(file): \(error)") }
  }

  private static func moment(_ arguments: Arguments) throws -> Instant {
    guard let text = arguments.text("time") else { return .now }
    guard let moment = Instant(iso: text) else {
      throw WrongUse("--time must be like 2024-02-29T23:59:59.123Z", command)
    }
    return moment
  }

  private static func madeUp(at now: Instant) throws -> String {
    let count = SecureRandom.bytes(4).reduce(0) { $0 << 8 | Int($1) } % RID.maximumSequence + 1
    return try RID(center: "45451", machine: "45452", sequence: count, at: now).text
  }
}

/// What the commands on packets share.
enum PacketOptions {
  /// The id schema of the packet validator, where there is a home.
  static func shippedSchema(_ around: Surroundings) throws -> String? {
    let home = try Home(around.environment["REGPROC_HOME"], program: around.program)
    guard let path = home.path("stages/packet-validator/id-schema.json"), Files.exists(path) else { return nil }
    return path
  }
}

extension Files {
  /// Where files without a name are made.
  static func temporaryFolder(_ around: Surroundings) -> String {
    let named = around.environment["TMPDIR"] ?? ""
    return named.isEmpty ? "/tmp" : named
  }
}
