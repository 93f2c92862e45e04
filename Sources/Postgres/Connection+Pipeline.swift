import CPQ
import Glibc

extension Connection {
  /// Sends many statements at once and waits once (libpq's pipeline mode): the results in the order of the statements.
  ///
  /// All of them are one unit: the first error undoes the whole pipeline (outside a transaction; inside, it spoils the
  /// transaction) and is thrown with the statement's index. The connection can be used on afterwards. What is sent and what
  /// comes back is read and written side by side, so the size of a batch is bound by memory only.
  public func pipeline(_ statements: [Statement]) throws -> [Rows] {
    guard !statements.isEmpty else { return [] }
    try checkUsable()
    let buffers = try statements.enumerated().map { index, statement in
      do { return try ParameterBuffer(statement.parameters) } catch var error as PostgresError {
        error.statementIndex = index
        throw error
      }
    }
    let keys = zip(statements, buffers).map { PreparedStatements.Key(sql: $0.sql, types: $1.types) }
    let distinct = Set(keys)
    try makeRoom(for: distinct.count { !prepared.contains($0) }, keeping: distinct)

    guard PQenterPipelineMode(handle) == 1 else { throw giveUp() }
    let steps = try send(keys, buffers)
    let (results, failure) = try receive(steps, count: statements.count)
    guard PQexitPipelineMode(handle) == 1 else { throw giveUp() }
    if let failure {
      if Self.isStale(failure) { for key in distinct { prepared.remove(key) } }
      throw failure
    }
    return results
  }

  /// What the server answers, in order.
  private enum Step {
    case prepare(PreparedStatements.Key, name: String, index: Int)
    case run(index: Int)
  }

  private func send(_ keys: [PreparedStatements.Key], _ buffers: [ParameterBuffer]) throws -> [Step] {
    var steps: [Step] = []
    steps.reserveCapacity(keys.count + 8)
    var room = Self.preparedLimit - prepared.count
    var fresh: [PreparedStatements.Key: String] = [:]
    for (index, key) in keys.enumerated() {
      var name = prepared.name(of: key) ?? fresh[key]
      if name == nil, room > 0 {
        room -= 1
        let new = prepared.newName()
        guard PQsendPrepare(handle, new, key.sql, Int32(key.types.count), key.types) == 1 else { throw giveUp() }
        steps.append(.prepare(key, name: new, index: index))
        fresh[key] = new
        name = new
      }
      let buffer = buffers[index]
      let sent = buffer.withPointers { values, lengths, formats in
        if let name { return PQsendQueryPrepared(handle, name, buffer.count, values, lengths, formats, 0) }
        // More different statements than are kept prepared.
        return key.types.isEmpty
          ? PQsendQueryParams(handle, key.sql, buffer.count, nil, values, lengths, formats, 0)
          : PQsendQueryParams(handle, key.sql, buffer.count, key.types, values, lengths, formats, 0)
      }
      guard sent == 1 else { throw giveUp() }
      steps.append(.run(index: index))
    }
    guard PQpipelineSync(handle) == 1 else { throw giveUp() }
    try flush()
    return steps
  }

  private func receive(_ steps: [Step], count: Int) throws -> (results: [Rows], failure: PostgresError?) {
    var results: [Rows] = []
    results.reserveCapacity(count)
    var failure: PostgresError?
    for step in steps {
      let index: Int
      switch step {
      case .prepare(_, _, let of), .run(let of): index = of
      }
      guard let result = try nextResult() else { throw giveUp() }
      if PQresultStatus(result) == PGRES_PIPELINE_ABORTED {
        PQclear(result)
      } else {
        do {
          let rows = try finished(result)
          switch step {
          case .prepare(let key, let name, _): prepared.add(key, name)
          case .run: results.append(rows)
          }
        } catch var error as PostgresError {
          guard PQstatus(handle) == CONNECTION_OK, !interrupter.ended else { throw giveUp(error) }
          error.statementIndex = index
          if failure == nil { failure = error }
        }
      }
      // Each answer ends with a null.
      while let surplus = try nextResult() {
        PQclear(surplus)
        guard PQstatus(handle) == CONNECTION_OK else { throw giveUp() }
      }
    }
    guard let end = try nextResult() else { throw giveUp() }
    defer { PQclear(end) }
    guard PQresultStatus(end) == PGRES_PIPELINE_SYNC else {
      // An error at the sync itself: a deferred constraint or a serialization failure at the implicit commit.
      let error = PostgresError(result: end)
      guard PQstatus(handle) == CONNECTION_OK else { throw giveUp(error) }
      while let surplus = try nextResult() {
        let isSync = PQresultStatus(surplus) == PGRES_PIPELINE_SYNC
        PQclear(surplus)
        if isSync { return (results, failure ?? error) }
        guard PQstatus(handle) == CONNECTION_OK else { throw giveUp() }
      }
      return try afterNull(results, failure ?? error)
    }
    return (results, failure)
  }

  /// The sync that follows an error's null.
  private func afterNull(_ results: [Rows], _ failure: PostgresError) throws -> ([Rows], PostgresError?) {
    guard let end = try nextResult() else { throw giveUp(failure) }
    defer { PQclear(end) }
    guard PQresultStatus(end) == PGRES_PIPELINE_SYNC else { throw giveUp(failure) }
    return (results, failure)
  }
}
