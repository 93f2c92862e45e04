import CPQ
import Glibc

/// A connection to a database. Its calls block, so it belongs on a thread of ours, and it is used by one thread at a time:
/// that is why it is not Sendable. `Pool` hands connections between threads safely; `interrupter` may be used from any thread.
///
/// A connection whose server went away stays broken (`isHealthy` is false): the owner opens a new one.
public final class Connection {
  /// How a transaction sees others (postgresql.org/docs/15/transaction-iso.html).
  public enum Isolation: String, Sendable {
    /// Each statement sees what was committed before it.
    case readCommitted = "read committed"
    /// The transaction sees what was committed before its first statement.
    case repeatableRead = "repeatable read"
    /// As if transactions ran one after the other; may end in `.serializationFailure`.
    case serializable = "serializable"
  }

  /// How many statements are kept prepared.
  static let preparedLimit = 256

  let handle: OpaquePointer
  /// Ends what this connection is doing, from any thread.
  public let interrupter: Interrupter
  var prepared = PreparedStatements()
  private var isClosed = false
  /// How long the server may be silent while it owes an answer, in milliseconds; negative without a limit.
  private(set) var silenceLimit: Int32
  private let settings: PostgresSettings

  /// Whether the server said that it ends this session (57P01 to 57P05, 25P03): it says so before it closes the socket, and between
  /// two statements libpq takes that for a notice. Other notices are dropped.
  private final class Farewell { var came = false }
  private let farewell = Farewell()

  private static let heard: PQnoticeReceiver = { context, notice in
    guard let context, let state = PQresultErrorField(notice, Int32(UInt8(ascii: "C"))) else { return }
    if PostgresError.isFarewell(String(cString: state)) {
      Unmanaged<Farewell>.fromOpaque(context).takeUnretainedValue().came = true
    }
  }

  /// Opens a connection, with UTC as the session's time zone. Blocks at most about `connectTimeoutSeconds` for each address
  /// of the host. Throws `.connectionFailed`.
  public init(_ settings: PostgresSettings) throws {
    let parameters = settings.parameters
    var keywords = parameters.map { strdup($0.name).map { UnsafePointer($0) } }
    var values = parameters.map { strdup($0.value).map { UnsafePointer($0) } }
    defer { for text in keywords + values { free(UnsafeMutablePointer(mutating: text)) } }
    keywords.append(nil)
    values.append(nil)
    guard let handle = PQconnectdbParams(keywords, values, 0) else {
      throw PostgresError(.connectionFailed, "no memory for a connection")
    }
    guard PQstatus(handle) == CONNECTION_OK else {
      let reason = String(cString: PQerrorMessage(handle)).split(separator: "\n").joined(separator: "; ")
      PQfinish(handle)
      throw PostgresError(.connectionFailed, "cannot connect to \(settings): \(settings.withoutSecrets(reason))")
    }
    self.handle = handle
    self.settings = settings
    // A little longer than the server's own limit, so that a server that lives ends the statement and keeps the connection.
    silenceLimit = settings.answerTimeoutSeconds.map { Int32(clamping: $0 * 1000 + 5000) } ?? -1
    interrupter = Interrupter(handle)
    // Sending waits in `flush`, with a limit, and nowhere in libpq.
    PQsetnonblocking(handle, 1)
    PQsetNoticeReceiver(handle, Self.heard, Unmanaged.passUnretained(farewell).toOpaque())
    try script(settings.sessionScript)
  }

  deinit { close() }

  /// Closes the connection; calling it again does nothing. An open transaction is rolled back by the server.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    interrupter.forget()
    PQfinish(handle)
  }

  /// True when the connection can be used. Notices without a round trip that the server closed it.
  public var isHealthy: Bool {
    guard !isClosed, PQstatus(handle) == CONNECTION_OK, !interrupter.ended else { return false }
    // A server that ends a session first says why, so the end itself is seen at the second reading or by that word.
    while PQtransactionStatus(handle) == PQTRANS_IDLE, waitForSocket(POLLIN, milliseconds: 0) {
      guard PQconsumeInput(handle) == 1, PQstatus(handle) == CONNECTION_OK else { return false }
    }
    // What was read is only taken apart, and the word given to us, by a question that needs it.
    _ = PQisBusy(handle)
    return !farewell.came
  }

  /// True between begin and commit or rollback.
  public var isInTransaction: Bool {
    guard !isClosed else { return false }
    let status = PQtransactionStatus(handle)
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR
  }

  /// Runs one statement with parameters and waits for its result. The statement is prepared at its first use.
  public func execute(_ sql: String, _ parameters: [Value] = []) throws -> Rows {
    let buffer = try ParameterBuffer(parameters)
    let key = PreparedStatements.Key(sql: sql, types: buffer.types)
    do {
      return try executePrepared(key, buffer)
    } catch let error as PostgresError where Self.isStale(error) {
      // Its table was altered, or somebody discarded all statements: prepare anew. In a transaction it is too late for that.
      prepared.remove(key)
      guard !isInTransaction else { throw error }
      return try executePrepared(key, buffer)
    }
  }

  /// Runs SQL without parameters that may hold several statements, in one implicit transaction unless it says otherwise.
  public func script(_ sql: String) throws {
    try checkUsable()
    _ = try answer(PQsendQuery(handle, sql))
  }

  /// Runs a closure whose statements may take as long as they need, e.g. migrations. Not on a thread that others wait for: a server that is
  /// frozen meanwhile is waited for as well.
  public func unhurried<T>(_ body: () throws -> T) throws -> T {
    let limit = silenceLimit
    try script("set statement_timeout = 0")
    silenceLimit = -1
    defer {
      silenceLimit = limit
      try? script(settings.statementLimitScript)
    }
    return try body()
  }

  /// Runs a closure between begin and commit; rolls back and throws on when it throws.
  ///
  /// A `.connectionFailed` that comes out of the commit itself leaves open whether it happened.
  public func transaction<T>(isolation: Isolation = .readCommitted, _ body: () throws -> T) throws -> T {
    guard !isInTransaction else { throw PostgresError(.misuse, "a transaction is open on this connection already") }
    try script("begin isolation level \(isolation.rawValue)")
    let value: T
    do {
      value = try body()
      guard PQtransactionStatus(handle) != PQTRANS_INERROR else {
        throw PostgresError(.misuse, "a statement of the transaction failed and its error was not passed on")
      }
    } catch {
      if isHealthy, isInTransaction { try? script("rollback") }
      throw error
    }
    try script("commit")
    return value
  }

  // MARK: - Inside

  /// The plan changed its result type, or the name is unknown.
  static func isStale(_ error: PostgresError) -> Bool { error.sqlState == "0A000" || error.sqlState == "26000" }

  private func executePrepared(_ key: PreparedStatements.Key, _ buffer: ParameterBuffer) throws -> Rows {
    try checkUsable()
    let name: String
    if let known = prepared.name(of: key) {
      name = known
    } else {
      try makeRoom(for: 1, keeping: [])
      name = prepared.newName()
      let types = key.types
      _ = try answer(PQsendPrepare(handle, name, key.sql, Int32(types.count), types))
      prepared.add(key, name)
    }
    return try answer(
      buffer.withPointers { values, lengths, formats in
        PQsendQueryPrepared(handle, name, buffer.count, values, lengths, formats, 0)
      })
  }

  /// Drops prepared statements that were not used for long.
  func makeRoom(for count: Int, keeping: Set<PreparedStatements.Key>) throws {
    let names = prepared.evict(toAdmit: count, limit: Self.preparedLimit, keeping: keeping)
    guard !names.isEmpty else { return }
    guard PQtransactionStatus(handle) != PQTRANS_INERROR else { return }
    try script(names.map { "deallocate \($0)" }.joined(separator: ";"))
  }

  func checkUsable() throws {
    guard !isClosed, !interrupter.ended, PQstatus(handle) == CONNECTION_OK else { throw PostgresError.lost }
  }

  /// The rows of a result, or its error.
  func finished(_ result: OpaquePointer?) throws -> Rows {
    guard let result else { throw PostgresError.lost }
    switch PQresultStatus(result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return Rows(result)
    case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE:
      defer { PQclear(result) }
      let error = PostgresError(result: result)
      // Neither from the server nor a lost connection: libpq itself refused.
      if error.sqlState == nil, PQstatus(handle) == CONNECTION_OK {
        throw PostgresError(.misuse, "the statement could not be sent: the connection is busy or its memory ran out")
      }
      throw error
    default:
      // COPY and the like leave the protocol in a state of its own, which this library does not speak.
      PQclear(result)
      interrupter.end()
      throw PostgresError(.misuse, "COPY is not supported")
    }
  }
}
