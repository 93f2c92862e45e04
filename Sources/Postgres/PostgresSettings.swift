import CPQ
import Glibc
import System

/// Where a database is and who enters it. Printing it in any way shows no password.
public struct PostgresSettings: Sendable, Hashable {
  /// The host name, address, or the folder of a unix socket (then it begins with `/`). Empty: libpq's own default.
  public var host: String
  /// The TCP port, or the number in the socket's name.
  public var port: Int
  /// The role that logs in. Empty: libpq's own default.
  public var user: String
  /// The database. Empty: the one named like the user.
  public var database: String
  /// The password; nil where the server asks for none.
  public var password: String? {
    get { secret.value }
    set { secret.value = newValue }
  }
  /// How long one attempt to connect may take, in seconds (libpq takes 2 at the least).
  public var connectTimeoutSeconds: Int
  /// How long the server may work on one statement, and a little more how long it may be silent while it owes an answer; nil for no limit.
  /// The server keeps to it by itself (`statement_timeout`); a server that is frozen or out of reach cannot, so the client does as well.
  public var answerTimeoutSeconds: Int?
  /// The name that `pg_stat_activity` shows.
  public var applicationName: String
  /// Further libpq connection parameters by their names, e.g. `sslmode` and `sslrootcert`
  /// (postgresql.org/docs/15/libpq-connect.html, 34.1.2).
  public var options: [String: String]

  private var secret: Secret

  private struct Secret: Hashable, Sendable { var value: String? }

  /// Settings given field by field.
  public init(
    host: String, port: Int = 5432, user: String, database: String, password: String? = nil,
    connectTimeoutSeconds: Int = 5, answerTimeoutSeconds: Int? = 60, applicationName: String = "regproc",
    options: [String: String] = [:]
  ) {
    self.host = host
    self.port = port
    self.user = user
    self.database = database
    self.connectTimeoutSeconds = connectTimeoutSeconds
    self.answerTimeoutSeconds = answerTimeoutSeconds
    self.applicationName = applicationName
    self.options = options
    secret = Secret(value: password)
  }

  /// Reads a connection URI (`postgresql://user@host:5432/database?sslmode=require`) or a `host=... dbname=...` text.
  /// A password given separately goes before one in the text.
  ///
  /// Throws `PostgresError` with `.misuse`; its message never quotes the text, which may hold a password.
  public init(_ connection: String, password: String? = nil) throws {
    var problem: UnsafeMutablePointer<CChar>?
    let parsed = PQconninfoParse(connection, &problem)
    PQfreemem(problem)
    guard let parsed else {
      throw PostgresError(
        .misuse, "the database connection text is neither a postgresql:// URI nor a list of key=value pairs")
    }
    defer { PQconninfoFree(parsed) }
    self.init(host: "", user: "", database: "", password: password)
    var at = parsed
    while let keyword = at.pointee.keyword {
      defer { at += 1 }
      guard let raw = at.pointee.val else { continue }
      let value = String(cString: raw)
      switch String(cString: keyword) {
      case "host": host = value
      case "user": user = value
      case "dbname": database = value
      case "password": if password == nil { self.password = value }
      case "application_name": applicationName = value
      case "port":
        guard let number = Int(value), (1...65535).contains(number) else {
          throw PostgresError(.misuse, "the database port must be a number from 1 to 65535")
        }
        port = number
      case "connect_timeout":
        guard let seconds = Int(value), seconds > 0 else {
          throw PostgresError(.misuse, "connect_timeout must be a number of seconds above 0")
        }
        connectTimeoutSeconds = seconds
      case let name: options[name] = value
      }
    }
  }

  /// The same database, for what may be forgotten when the server itself crashes: leases, marks of what was done and would harmlessly be
  /// done again. Its commits do not wait for the disk (`synchronous_commit`, postgresql.org/docs/15/wal-async-commit.html); nothing is ever
  /// half there, and a crash of one of our own processes loses nothing.
  public var forgetful: PostgresSettings { setting("synchronous_commit=off") }

  /// The same database for whoever only looks: the server refuses every statement that would change a row (`default_transaction_read_only`,
  /// postgresql.org/docs/15/runtime-config-client.html).
  public var readOnly: PostgresSettings { setting("default_transaction_read_only=on") }

  private func setting(_ pair: String) -> PostgresSettings {
    var other = self
    other.options["options"] = [startOptions, "-c \(pair)"].compactMap(\.self).joined(separator: " ")
    return other
  }

  /// The same database, for statements that take as long as they need: what people ask for and reads or changes all rows.
  public var unhurried: PostgresSettings {
    var other = self
    other.answerTimeoutSeconds = nil
    return other
  }

  /// What the caller has the server set for the session (`-c name=value`); libpq takes it from the environment where no text names it.
  private var startOptions: String? { options["options"] ?? getenv("PGOPTIONS").map { String(cString: $0) } }

  /// The SQL that begins each session. It is sent after the start and not with it: a pooler in between refuses unknown start parameters.
  var sessionScript: String {
    let given = startOptions ?? ""
    return Self.sessionForm
      + limits.filter { !given.contains($0.name) }.map { "; set \($0.name) = \($0.value)" }.joined()
  }

  /// The SQL that ends `Connection.unhurried`.
  var statementLimitScript: String {
    guard let seconds = answerTimeoutSeconds, startOptions?.contains("statement_timeout") != true else {
      return "reset statement_timeout"
    }
    return "set statement_timeout = \(seconds * 1000)"
  }

  private static let sessionForm = """
    set time zone 'UTC'; set datestyle = 'ISO'; set bytea_output = 'hex'; set extra_float_digits = 1;
    set standard_conforming_strings = on; set client_min_messages = warning
    """

  /// What ends the transaction, and with it the locks, of a client that is gone. Of one whose host vanished the server hears nothing for two
  /// hours by the system's defaults; of one that is frozen it hears that all is well, since the kernel answers. Whoever is slow and alive
  /// says so on the connection before the last one (milliseconds) is over.
  private var limits: [(name: String, value: Int)] {
    let always: [(name: String, value: Int)] = [
      ("tcp_keepalives_idle", 15), ("tcp_keepalives_interval", 5), ("tcp_keepalives_count", 3), ("tcp_user_timeout", 30_000),
      ("idle_in_transaction_session_timeout", 60_000),
    ]
    return answerTimeoutSeconds.map { always + [("statement_timeout", $0 * 1000)] } ?? always
  }

  /// What libpq is given, in an order that does not change.
  var parameters: [(name: String, value: String)] {
    var all: [(name: String, value: String)] = [
      ("port", String(port)), ("connect_timeout", String(connectTimeoutSeconds)), ("client_encoding", "UTF8"),
      ("application_name", applicationName),
    ]
    if !host.isEmpty { all.append(("host", host)) }
    if !user.isEmpty { all.append(("user", user)) }
    if !database.isEmpty { all.append(("dbname", database)) }
    if let password { all.append(("password", password)) }
    // A host that vanished without a word is noticed after about half a minute instead of two hours.
    let liveness = [
      ("keepalives_idle", "15"), ("keepalives_interval", "5"), ("keepalives_count", "3"), ("tcp_user_timeout", "30000"),
    ]
    for (name, value) in liveness where options[name] == nil { all.append((name, value)) }
    for (name, value) in options.sorted(by: { $0.key < $1.key }) { all.append((name, value)) }
    return all
  }
}

extension PostgresSettings {
  /// What a connection text says, for people: pairs of names and values without those that libpq itself calls passwords.
  public static func shown(_ connection: String) -> String {
    let parsed = PQconninfoParse(connection, nil)
    defer { PQconninfoFree(parsed) }
    guard var at = parsed else { return "(not shown: it cannot be read)" }
    var pairs: [String] = []
    while let keyword = at.pointee.keyword {
      defer { at += 1 }
      guard let raw = at.pointee.val else { continue }
      let isSecret = at.pointee.dispchar.map { String(cString: $0).contains("*") } ?? false
      let name = String(cString: keyword)
      let value = isSecret ? Showing.notShown : Self.shownPart(String(cString: raw), of: name)
      let isPlain = isSecret || !value.isEmpty && value.utf8.allSatisfy { $0 > 32 && $0 != 39 && $0 != 92 }
      let quoted = value.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
      pairs.append("\(name)=" + (isPlain ? value : "'\(quoted)'"))
    }
    return pairs.joined(separator: " ")
  }

  /// A message of libpq or the server without what these settings keep secret.
  func withoutSecrets(_ message: String) -> String {
    let torn = [(host, "host"), (database, "dbname")].filter { !$0.0.isEmpty && Self.shownPart($0.0, of: $0.1) != $0.0 }.map(\.0)
    let secrets = torn + [password, options["sslpassword"]].compactMap(\.self).filter { $0.utf8.count > 3 }
    return secrets.reduce(message) { $0.replacing($1, with: Showing.notShown) }
  }

  /// A password with an `@` or a `/` that is not escaped in a URI ends up in the host or in the database's name.
  static func shownPart(_ value: String, of name: String) -> String {
    let isTorn = (name == "host" || name == "dbname" || name == "hostaddr" || name == "port") && value.contains("@")
    return isTorn ? Showing.notShown : Showing.withoutSecretParts(value)
  }
}

extension PostgresSettings: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Host, port, database and user, safe to log.
  public var description: String {
    let place = host.isEmpty ? "the default host" : Self.shownPart(host, of: "host")
    return "database \(database.isEmpty ? "(default)" : Self.shownPart(database, of: "dbname")) at \(place):\(port)"
      + (user.isEmpty ? "" : " as \(user)")
  }
  /// The same as `description`.
  public var debugDescription: String { description }
  /// Nothing but the description, so that `dump` and string interpolation of an enclosing value show no password.
  public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
