import CPQ
import Glibc

// All waiting for the server is here: libpq's own calls that wait have no limit, and a server that is frozen or out of reach cannot keep to one
// of its own.
extension Connection {
  /// Waits for the answer to what libpq was just given to send: the last result, or the error.
  func answer(_ isGiven: Int32) throws -> Rows {
    guard isGiven == 1 else { throw giveUp() }
    try flush()
    var last: OpaquePointer?
    do {
      while let next = try nextResult() {
        // A lost connection adds a result without a state to the one in which the server said why.
        if let known = last, PQstatus(handle) != CONNECTION_OK, PQresultErrorField(known, Int32(UInt8(ascii: "C"))) != nil {
          PQclear(next)
          break
        }
        PQclear(last)
        last = next
        let state = PQresultStatus(next)
        if state == PGRES_COPY_IN || state == PGRES_COPY_OUT || state == PGRES_COPY_BOTH { break }
      }
    } catch {
      PQclear(last)
      throw error
    }
    return try finished(last)
  }

  /// Sends what libpq holds. The server stops reading while nobody reads its answers, so both directions move together.
  func flush() throws {
    while true {
      let state = PQflush(handle)
      if state == 0 { return }
      guard state > 0 else { throw giveUp() }
      guard waitForSocket(POLLIN | POLLOUT, milliseconds: silenceLimit) else { throw giveUp(silence) }
      guard PQconsumeInput(handle) == 1 else { throw giveUp() }
    }
  }

  /// The next result; nil after the last one of a statement. Throws when the server says nothing for too long; the connection is of no more
  /// use then, since the answer may still come.
  func nextResult() throws -> OpaquePointer? {
    while PQisBusy(handle) == 1 {
      guard waitForSocket(POLLIN, milliseconds: silenceLimit) else { throw giveUp(silence) }
      // The reason of a failure is in the result that follows, which then comes without waiting.
      guard PQconsumeInput(handle) == 1 else { break }
      // Of an encrypted packet libpq may have taken a part; the rest is in its hands and not in the socket's.
      if PQsslInUse(handle) == 1 || PQgssEncInUse(handle) == 1 { _ = PQconsumeInput(handle) }
    }
    return PQgetResult(handle)
  }

  /// The connection is of no more use: what was begun cannot be taken back.
  func giveUp(_ error: PostgresError = .lost) -> PostgresError {
    interrupter.end()
    return error
  }

  private var silence: PostgresError {
    PostgresError(.connectionFailed, "the database gave no answer for \(silenceLimit / 1000) s; the connection is given up")
  }

  /// Waits until the socket is ready for one of the events; false when the time was up. A negative time waits for ever.
  @discardableResult func waitForSocket(_ events: Int32, milliseconds: Int32) -> Bool {
    var descriptor = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
    // A connection that libpq has closed: the next call says so.
    guard descriptor.fd >= 0 else { return true }
    while true {
      let ready = poll(&descriptor, 1, milliseconds)
      if ready >= 0 || errno != EINTR { return ready != 0 }
    }
  }
}
