import VirusScanning
import EmbeddedPlatform
import Operations
import Postgres
import Registration
import StageRuntime
import System

/// One setting of the program: its name in a file, in the environment and on the command line.
struct SettingEntry: Sendable {
  enum Kind: Sendable {
    case text
    case path
    case integer(ClosedRange<Int>)
    /// A number of copies, or -1 for the cluster's own.
    case replicas
    case boolean
    case logLevel
    /// One of these words.
    case choice([String])
    /// An `http` or `https` URL.
    case url
    /// Codes of languages, with commas between.
    case languages
    /// `none`, or where a ClamAV daemon listens.
    case virusScanner
    /// A mapping of texts in a file; `name=value,name=value` elsewhere.
    case properties
    /// Where Postgres is, as libpq takes it.
    case connection
    /// Names or addresses of hosts, with commas between.
    case hosts
    /// One of the identifiers' settings, which brings its own check.
    case identifier(IdentifierSetting)

    /// What a value must be.
    var words: String {
      switch self {
      case .text, .path, .connection: "a text that is not empty"
      case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
      case .replicas: "-1 or a whole number from 1 to 10"
      case .boolean: "true or false"
      case .logLevel: "debug, info, warning or error"
      case .choice(let words): words.joined(separator: " or ")
      case .url: "a URL that begins with http:// or https://"
      case .languages: "codes of languages, three small letters each, with commas between"
      case .hosts: "names or addresses of hosts, with commas between"
      case .virusScanner: "none, HOST:PORT or the path of a socket"
      case .properties: "of the form name=value,name=value"
      case .identifier(let setting): setting.wanted
      }
    }

    /// What a value must be; nil when `text` is one.
    func fault(_ text: String) -> String? { isValue(text) ? nil : words }

    private func isValue(_ text: String) -> Bool {
      switch self {
      case .text, .path, .connection: !text.isEmpty
      case .integer(let range): Int(text).map(range.contains) == true
      case .replicas: Int(text).map { $0 == -1 || (1...10).contains($0) } == true
      case .boolean: text == "true" || text == "false"
      case .logLevel: Log.Level(text) != nil
      case .choice(let words): words.contains(text)
      case .url: text.hasPrefix("http://") || text.hasPrefix("https://")
      case .languages:
        text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { code in
          code.trimmed.utf8.count == 3 && code.trimmed.utf8.allSatisfy { (97...122).contains($0) }
        }
      case .hosts: text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { AdminNames.isName($0.trimmed) }
      case .virusScanner: text == "none" || ScannerAddress(text) != nil
      case .properties: text.split(separator: ",").allSatisfy { $0.contains("=") }
      case .identifier(let setting): setting.isValue(text)
      }
    }
  }

  /// `section.key` in a settings file.
  var name: String
  var kind: Kind
  var flag: String?
  var valueName: String
  var defaultValue: String?
  var meaning: String
  /// Never shown.
  var isSecret = false

  init(
    _ name: String, _ kind: Kind = .text, flag: String? = nil, _ valueName: String = "TEXT", default value: String? = nil,
    isSecret: Bool = false, _ meaning: String
  ) {
    self.name = name
    self.kind = kind
    self.flag = flag
    self.valueName = valueName
    self.defaultValue = value
    self.isSecret = isSecret
    self.meaning = meaning
  }

  /// A value of this setting as people may see it. Whatever tells a value of a setting tells this.
  func shown(_ text: String) -> String {
    if isSecret { return Showing.hidden(text) }
    if case .connection = kind { return PostgresSettings.shown(text) }
    return Showing.withoutSecretParts(text)
  }

  /// Its environment variable: `kafka.bootstrap-servers` is `REGPROC_KAFKA_BOOTSTRAP_SERVERS`.
  var variable: String {
    if name == "database.connection" { return "REGPROC_DATABASE" }
    return "REGPROC_" + name.uppercased().replacing(".", with: "_").replacing("-", with: "_")
  }

  /// All of them: the program's own, and `uin.…`, `vid.…`, `rid.…` as the table of the identifiers' rules has them.
  static let all: [SettingEntry] =
    basic + retention + tls("http", "the HTTP endpoints of the stages") + tls("admin", "the operators' endpoints") + platform
    + IdentifierSetting.all.map { SettingEntry($0.name, .identifier($0), "VALUE", default: $0.defaultValue, $0.meaning) }

  /// For how long is kept what nothing needs any more.
  private static let retention: [SettingEntry] =
    RetentionSettings.What.allCases.map { what in
      SettingEntry("keep.\(what.rawValue)", .integer(0...36_500), "DAYS", default: String(what.defaultDays), what.meaning)
    } + [
      SettingEntry("keep.every", .integer(1...86_400), "SECONDS", default: "600", "how often what may be removed is looked for")
    ]

  /// How a listener speaks TLS.
  private static func tls(_ section: String, _ whose: String) -> [SettingEntry] {
    [
      SettingEntry(
        "\(section).tls.certificate", .path, "FILE",
        "the PEM certificate of \(whose), with the chain up to its authority: TLS is spoken there and nothing else; read again when it changes"
      ),
      SettingEntry("\(section).tls.key", .path, "FILE", "its private key, in PEM and not encrypted"),
      SettingEntry(
        "\(section).tls.client-ca", .path, "FILE",
        "PEM certificates of authorities: a caller without a certificate of one of them gets no answer"),
    ]
  }

  private static let basic: [SettingEntry] = [
    SettingEntry("data", .path, flag: "data", "FOLDER", default: "regproc-data", "where embedded parts keep their data"),
    SettingEntry("stages", .path, flag: "stages", "FOLDER", "the folder of stages/<name>/stage.yaml (default: of the home)"),
    SettingEntry("routes", .path, flag: "routes", "FILE", "the route file (default: routes.yaml of the home)"),
    SettingEntry(
      "side", .choice(["all", "opencrvs", "mosip"]), "SIDE", default: "all",
      "which side this installation is, with database, keys and Kafka of its own: opencrvs or mosip; all: both in one (docs/two-sides.md)"
    ),
    SettingEntry("instance", flag: "instance", "NAME", "this process's name; no two processes may share one (default: the host's)"),
    SettingEntry("log-level", .logLevel, flag: "log-level", "LEVEL", "debug, info, warning or error (default: info; demo: error)"),
    SettingEntry(
      "crash-traces", .boolean, "BOOLEAN", default: "false",
      "a crash leaves Swift's report and a core dump, for whoever looks for a fault: keys and personal data stand in both"),
    SettingEntry(
      "reconcile-seconds", .integer(5...86_400), flag: "reconcile", "N", default: "300",
      "a message that no stage took for so long is sent again"),
    SettingEntry(
      "virus-scanner", .virusScanner, flag: "virus-scanner", "ADDRESS", default: "none",
      "ClamAV's daemon, by HOST:PORT or the path of its socket; none: packets are not scanned"),
    SettingEntry(
      "spool.limit-mib", .integer(1...1_048_576), "N", default: "2048",
      "most MiB that a stage keeps in the data folder of requests whose sender does not come again, while the database is away; beyond it their connections are closed"
    ),
    SettingEntry("http.host", flag: "host", "ADDRESS", default: "127.0.0.1", "where the HTTP endpoints of the stages listen"),
    SettingEntry(
      "http.port", .integer(0...65_535), flag: "port", "N", default: "8080", "their port; 0 for a free one"),
    SettingEntry(
      "http.url", flag: "url", "URL",
      "how other processes reach this one's endpoints (default: http://host:port, or https:// with TLS)"),
    SettingEntry(
      "http.outgoing-hosts", .text, "HOSTS",
      "the hosts, with commas between, where callbacks of subscriptions at the embedded hub and data shares of credentials may be (default: those "
        + "of http.url, of the hub and of mosip.datashare-url); loopback is allowed only if one of them is loopback"),
    SettingEntry(
      "http.body-memory-mib", .integer(1...1_048_576), "N", default: "256",
      "most MiB of bodies under way on all connections together; a request beyond it gets 503 and comes again"),
    SettingEntry(
      "http.connections-per-address", .integer(0...65_535), "N", default: "0",
      "most connections at a time from one address; 0 for no limit, which a proxy in front needs: it is one address"),
    SettingEntry(
      "http.trusted-ca", .path, "FILE",
      "PEM certificates that outgoing calls trust beside the system's (default: http.tls.certificate)"),
    SettingEntry(
      "http.client-certificate", .path, "FILE",
      "the PEM certificate that outgoing calls show to servers that ask for one (default: http.tls.certificate when http.tls.client-ca is set)"
    ),
    SettingEntry("http.client-key", .path, "FILE", "its private key, in PEM and not encrypted"),
    SettingEntry(
      "admin.host", .text, "ADDRESS", default: "127.0.0.1",
      "where operators are served: health, metrics, journeys; beyond loopback only with a token that has admin.read-role, except for probes"
    ),
    SettingEntry(
      "admin.port", .integer(0...65_535), flag: "admin-port", "N", default: "8081",
      "their port; 0 for a free one, as also if none is given and 8081 is in use"),
    SettingEntry(
      "admin.names", .hosts, "HOSTS",
      "names by which operators call, with commas between, beside localhost, the host's name and addresses, and the host of http.url"
    ),
    SettingEntry(
      "admin.read-role", .text, "ROLE", default: "REGPROC_READ",
      "the role in tokens of those who may read, when admin.host is not loopback"),
    SettingEntry(
      "admin.operate-role", .text, "ROLE", default: "REGPROC_OPERATE",
      "the role of those who may also replay, release and change other things, when admin.host is not loopback"),
    SettingEntry(
      "admin.reveal-role", .text, "ROLE", default: "REGPROC_REVEAL",
      "the role that shows the personal data of dead letters, and allows nothing else, when admin.host is not loopback"),
    SettingEntry(
      "kafka.bootstrap-servers", flag: "kafka", "HOST:PORT", "the Kafka brokers; without them `up` brings a broker of its own"),
    SettingEntry(
      "kafka.properties", .properties, "NAME=VALUE", isSecret: true, "further librdkafka properties, e.g. security.protocol"),
    SettingEntry(
      "kafka.properties-file", .path, "FILE", "a file of lines name=value with more of them: the place for passwords"),
    SettingEntry(
      "kafka.transactional", .boolean, "BOOLEAN", default: "true",
      "messages and offsets in one Kafka transaction; off for a broker without real transactions"),
    SettingEntry("kafka.partitions", .integer(1...1000), "N", default: "4", "partitions of topics that are made"),
    SettingEntry(
      "kafka.topics", .choice(["all", "own"]), "WORD", default: "all",
      "all: this process makes every topic that is missing and sends again whatever the journal has to be sent; own: only for the topics that "
        + "its stages read and send to, for a user with the rights of `regproc topics acls`"),
    SettingEntry(
      "kafka.replication", .replicas, "N", default: "-1", "replicas of topics that are made; -1: as many as the cluster gives"),
    SettingEntry(
      "database.connection", .connection, flag: "database", "CONNECTION",
      "Postgres, as libpq takes it (host=... dbname=...); without it `up` starts a Postgres of its own"),
    SettingEntry(
      "database.connections", .integer(1...500), "N",
      "connections that the stages of this process share, beside one for each worker (default: 12; `run`: 2 and one for each stage, up to 12)"
    ),
    SettingEntry(
      "database.migrate", .choice(["auto", "check"]), "WORD", default: "auto",
      "auto: a process applies the migrations that the database lacks; check: it applies none and does not start without them "
        + "(regproc database migrate; docs/rights.md)"),
    SettingEntry("database.password-file", .path, "FILE", "a file whose first line is the database's password"),
    SettingEntry(
      "replay.hold-after", .integer(0...1000), "N", default: "3",
      "a RID whose last N replays ended at the same stage with the same code is held until a person releases it; 0: never"),
    SettingEntry(
      "replay.backlog", .integer(10...1_000_000), "N", default: "500",
      "a replay of many waits while N messages wait before the stages at which it begins"),
  ]
}
