import VirusScanning
import Glibc
import HTTP
import Kafka
import Operations
import EmbeddedPlatform
import Postgres
import Registration
import StageKit
import StageRuntime
import System
import YAML

/// The program's settings: `deploy/settings/base.yaml` < `--settings FILE` < `REGPROC_...` < flags.
struct Settings: Sendable {
  /// A value and where it comes from, for a person who wonders.
  struct Given: Sendable {
    var text: String
    var source: String
  }

  /// Values by the name of their setting.
  private(set) var given: [String: Given] = [:]
  /// Where `stages/`, `routes.yaml` and `deploy/` are.
  let home: Home

  /// The flags of the settings.
  static let options: [Option] =
    [
      .text("settings", "FILE", "a settings file over deploy/settings/base.yaml"),
      .text("home", "FOLDER", "where routes.yaml and stages/ are (default: here or above, or what the program came with)"),
    ]
    + SettingEntry.all.compactMap { entry in
      entry.flag.map {
        Option(
          name: $0, value: entry.valueName, meaning: entry.meaning, check: { entry.kind.fault($0) }, shown: { entry.shown($0) })
      }
    }

  /// Reads all sources.
  /// - Parameter defaults: values of a command that stand under everything a person says.
  /// - Throws: `FileProblems` for a settings file, `Failure` for an environment variable that is wrong.
  init(_ arguments: Arguments, _ around: Surroundings, defaults: [String: String] = [:]) throws {
    home = try Home(arguments.text("home") ?? around.environment["REGPROC_HOME"], program: around.program)
    for entry in SettingEntry.all {
      if let value = entry.defaultValue { given[entry.name] = Given(text: value, source: "default") }
    }
    if let base = home.path("deploy/settings/base.yaml"), Files.exists(base) { try read(base) }
    for (name, value) in defaults { given[name] = Given(text: value, source: "default of this command") }
    if let file = arguments.text("settings") ?? around.environment["REGPROC_SETTINGS"] { try read(file) }
    try read(environment: around)
    for entry in SettingEntry.all {
      if let flag = entry.flag, let value = arguments.text(flag) { given[entry.name] = Given(text: value, source: "--\(flag)") }
    }
    if text("crash-traces") == "true" { CrashTraces.allow() }
  }

  private mutating func read(_ path: String) throws {
    let bytes = try Files.read(path)
    let document = YAMLDocument.parse(bytes, name: path)
    guard document.problems.isEmpty else { throw Self.told(document.problems, document.source) }
    guard let root = document.root, !root.isNull else { return }
    let problems = Problems(file: path)
    guard let top = KeyedReader(root, of: "a settings file", problems) else {
      throw Self.told(problems.all, document.source)
    }
    for entry in SettingEntry.all where !entry.name.contains(".") { take(entry, entry.name, top, path) }
    for section in ["http", "admin", "kafka", "database", "replay", "keep", "hub", "identity", "mosip", "s3", "uin", "vid", "rid"] {
      guard let reader = top.mapping(section) else { continue }
      take(all: section, reader, path)
      reader.finish()
    }
    top.finish()
    if problems.count > 0 { throw Self.told(problems.all, document.source) }
  }

  /// Problems of a settings file. A line is quoted only when it holds one setting and no secret: a mistyped name may be that of a secret.
  private static func told(_ problems: [Problem], _ source: SourceText) -> FileProblems {
    let plain = SettingEntry.all.filter { entry in !entry.isSecret && entry.shown("a@b=c") == "a@b=c" }
    let names = Set(plain.map { $0.name.split(separator: ".", maxSplits: 1).last.map(String.init) ?? $0.name })
    let told = problems.map { problem in
      guard let line = source.line(problem.position.line), let colon = line.firstIndex(of: ":"),
        names.contains(line[..<colon].trimmed), !line.contains(where: { "{}[],#".contains($0) }),
        Showing.withoutSecretParts(line) == line
      else { return problem.withoutLine }
      return problem
    }
    return FileProblems(told, source: source)
  }

  /// Takes the settings of a section, and those of the one section that may be in it.
  private mutating func take(all section: String, _ reader: KeyedReader, _ path: String) {
    let entries = SettingEntry.all.filter { $0.name.hasPrefix(section + ".") }
    let nested = entries.filter { $0.name.hasPrefix(section + ".tls.") }
    for entry in entries where !entry.name.hasPrefix(section + ".tls.") {
      take(entry, String(entry.name.dropFirst(section.count + 1)), reader, path)
    }
    guard !nested.isEmpty, let inner = reader.mapping("tls") else { return }
    for entry in nested { take(entry, String(entry.name.dropFirst(section.count + 5)), inner, path) }
    inner.finish()
  }

  private mutating func take(_ entry: SettingEntry, _ key: String, _ reader: KeyedReader, _ path: String) {
    guard let node = reader.entry(key)?.value, !node.isNull else { return }
    let source = "\(path):\(node.start.line)"
    if case .properties = entry.kind {
      guard let pairs = node.mapping, pairs.allSatisfy({ $0.value.text != nil }) else {
        return reader.problems.add("wrong-type", "\(key) must be a mapping of names to texts", at: node)
      }
      for pair in pairs where pair.value.text?.contains(",") == true {
        reader.problems.add("wrong-value", "a value with a comma belongs into properties-file", at: pair.value)
      }
      let text = pairs.map { "\($0.key)=\($0.value.text ?? "")" }.joined(separator: ",")
      given[entry.name] = Given(text: text, source: source)
      return
    }
    guard let text = node.text else {
      return reader.problems.add("wrong-type", "\(key) must be a text, not \(node.kind)", at: node)
    }
    if let wanted = entry.kind.fault(text) {
      return reader.problems.add("wrong-value", "\(key) must be \(wanted), not `\(entry.shown(text))`", at: node)
    }
    given[entry.name] = Given(text: text, source: source)
  }

  private mutating func read(environment around: Surroundings) throws {
    let (environment, passedOver) = ServiceVariables.sorted(out: around.environment)
    if let note = ServiceVariables.note(passedOver) { around.console.err("regproc: \(note)\n") }
    for entry in SettingEntry.all {
      guard let text = environment[entry.variable] else { continue }
      if let wanted = entry.kind.fault(text) { throw Failure("\(entry.variable) must be \(wanted)") }
      given[entry.name] = Given(text: text, source: entry.variable)
    }
    // Not an error: a variable may be of another version, or of something else that is called so.
    let known = Set(SettingEntry.all.map(\.variable) + ["REGPROC_AUTHOR", "REGPROC_HOME", "REGPROC_SETTINGS"])
    let others = ["REGPROC_STAGE_", "REGPROC_TEST_", "REGPROC_BENCH_"]
    for name in environment.keys.sorted() where name.hasPrefix("REGPROC_") && !known.contains(name) {
      if others.contains(where: { name.hasPrefix($0) }) { continue }
      let hint = Array(known).sorted().nearest(to: name).map { "; did you mean \($0)?" } ?? ""
      around.console.err("regproc: the environment's \(name) is not a setting and is ignored\(hint)\n")
    }
  }

  /// Sets a value that follows from the command itself.
  mutating func set(_ name: String, _ text: String, source: String) { given[name] = Given(text: text, source: source) }

  // MARK: values

  /// The text of a setting; nil when nobody gave one.
  func text(_ name: String) -> String? {
    assert(SettingEntry.all.contains { $0.name == name }, "unknown setting \(name)")
    return given[name]?.text
  }
  /// The value of a setting as people may see it.
  func shown(_ name: String) -> String? {
    text(name).flatMap { text in SettingEntry.all.first { $0.name == name }?.shown(text) }
  }
  func integer(_ name: String) -> Int { text(name).flatMap { Int($0) } ?? 0 }

  /// The data folder.
  var data: String { text("data") ?? "regproc-data" }
  var routesFile: String { text("routes") ?? home.path("routes.yaml") ?? "routes.yaml" }
  var stagesFolder: String { text("stages") ?? home.path("stages") ?? "stages" }
  var host: String { text("http.host") ?? "127.0.0.1" }
  var port: Int { integer("http.port") }
  /// Where operators are served. They never share a port that nobody chose for them.
  var admin: ServerSettings {
    let port = integer("admin.port")
    return ServerSettings(
      host: text("admin.host") ?? "127.0.0.1", port: adminMayMove && port == self.port ? 0 : port, maxConnections: 64)
  }
  /// Whether nobody gave a port for operators, so that any will do when it is taken.
  var adminMayMove: Bool { given["admin.port"]?.source == "default" }
  /// Who may call there, and by which names.
  var adminAccess: AdminAccess {
    let names = (text("admin.names") ?? "").split(separator: ",").map(\.trimmed)
    let own = text("http.url").flatMap { OutgoingHosts.host(of: $0) }
    return AdminAccess(
      names: names + (own.map { [$0] } ?? []), readRole: text("admin.read-role") ?? "REGPROC_READ",
      operateRole: text("admin.operate-role") ?? "REGPROC_OPERATE", revealRole: text("admin.reveal-role") ?? "REGPROC_REVEAL")
  }
  /// Limits of the HTTP server, at a port.
  func server(port: Int) -> ServerSettings {
    ServerSettings(
      host: host, port: port, maxConnectionsPerAddress: integer("http.connections-per-address"),
      maxBodyBytesInFlight: integer("http.body-memory-mib") << 20)
  }
  var reconcileSeconds: Double { Double(integer("reconcile-seconds")) }
  /// Bounds of replays.
  var replays: ReplayLimits { ReplayLimits(holdAfter: integer("replay.hold-after"), backlog: integer("replay.backlog")) }
  /// For how long is kept what nothing needs any more.
  var retention: RetentionSettings {
    RetentionSettings(
      days: Dictionary(uniqueKeysWithValues: RetentionSettings.What.allCases.map { ($0, integer("keep.\($0.rawValue)")) }),
      every: Double(integer("keep.every")))
  }
  var partitions: Int { integer("kafka.partitions") }
  var replication: Int { integer("kafka.replication") }
  /// Connections that the stages of a process share. Processes of one stage take few: with half as many for durable work and one each for the worker,
  /// the outbox relay and the embedded hub that is 7, and twelve such processes and a rolling update must fit into a Postgres as it comes,
  /// with its 100 connections.
  func connections(stages: Int) -> Int { text("database.connections").flatMap { Int($0) } ?? min(12, 2 + stages) }
  var isTransactional: Bool { text("kafka.transactional") != "false" }
  var instance: String {
    if let name = text("instance") { return name }
    let host = ProcessIdentity.hostName
    return host.isEmpty ? "regproc" : host
  }

  /// The rules of UINs, VIDs and RIDs.
  var identifiers: IdentifierRules { IdentifierRules { given[$0]?.text } }

  /// The virus scanner that is asked for.
  var virusScanner: any VirusScanner {
    guard let text = text("virus-scanner"), let address = ScannerAddress(text), text != "none" else { return NoVirusScanner() }
    return ClamAVScanner(address)
  }

  /// The configured Kafka; nil when there is none.
  func kafka() throws -> KafkaSettings? {
    guard let servers = text("kafka.bootstrap-servers") else { return nil }
    var properties: [String: String] = [:]
    func take(_ line: some StringProtocol, _ place: String) throws {
      guard let equals = line.firstIndex(of: "=") else { throw Failure("\(place) has a line that is not name=value") }
      properties[String(line[..<equals]).trimmed] = String(line[line.index(after: equals)...]).trimmed
    }
    for pair in (text("kafka.properties") ?? "").split(separator: ",") { try take(pair, "kafka.properties") }
    if let file = text("kafka.properties-file") {
      for line in String(decoding: try Files.read(file), as: UTF8.self).split(whereSeparator: \.isNewline) {
        if line.trimmed.isEmpty || line.hasPrefix("#") { continue }
        try take(line, file)
      }
    }
    return KafkaSettings(bootstrapServers: servers, properties: properties)
  }

  /// The configured database; nil when there is none.
  func database() throws -> PostgresSettings? {
    guard let connection = text("database.connection") else { return nil }
    var password: String?
    if let file = text("database.password-file") {
      password = String(decoding: try Files.read(file), as: UTF8.self).split(whereSeparator: \.isNewline).first.map(String.init)
    }
    return try PostgresSettings(connection, password: password)
  }

  /// The side that this installation is; nil for both in one.
  var side: Side? { text("side").flatMap { Side(rawValue: $0) } }

  /// The key pairs of the mediator on the other side, of which only the certificate is here.
  var partnerKeys: Set<String> {
    switch side {
    case .opencrvs?: ["envelope-mosip-mediator"]
    case .mosip?: ["envelope-opencrvs-mediator"]
    case nil: []
    }
  }

  /// Whether a process applies migrations that the database lacks, or does not start without them.
  var appliesMigrations: Bool { text("database.migrate") != "check" }

  /// Puts the log at the level that is asked for.
  func setLogLevel(default level: String = "info") { Log.level = Log.Level(text("log-level") ?? level) ?? .info }
}

extension StringProtocol {
  /// Without blanks and tabs at both ends.
  var trimmed: String {
    var part = self[...]
    while let first = part.first, first == " " || first == "\t" || first == "\r" { part.removeFirst() }
    while let last = part.last, last == " " || last == "\t" || last == "\r" { part.removeLast() }
    return String(part)
  }
}

/// Faults of files, as a person reads them.
struct FileProblems: Error, Sendable {
  private let parts: [(problems: [Problem], source: SourceText)]
  /// So many of a file's problems are written out; nobody reads more.
  private static let shown = 500

  init(_ problems: [Problem], source: SourceText) { parts = [(problems, source)] }
  init(_ parts: [(problems: [Problem], source: SourceText)]) { self.parts = parts }

  var problems: [Problem] { parts.flatMap(\.problems) }

  func rendered(colour: Bool) -> String {
    parts.map { part in
      let shown = part.problems.prefix(FileProblems.shown)
      let rest = part.problems.count - shown.count
      return shown.map { $0.render(source: part.source, colours: colour) + "\n" }.joined()
        + (rest > 0 ? "... and \(rest) more\n" : "")
    }.joined()
  }
}
