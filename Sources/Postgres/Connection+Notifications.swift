import CPQ
import Glibc

/// What another session sent with NOTIFY.
public struct Notification: Sendable, Hashable {
  /// The channel it was sent on.
  public var channel: String
  /// Its text, possibly empty.
  public var payload: String
}

extension Connection {
  /// Listens on a channel from now on; use a connection of its own for that. A channel is a lower-case SQL name.
  public func listen(_ channel: String) throws {
    try Self.check(channel: channel)
    try script("listen \(channel)")
  }

  /// Sends a notification; inside a transaction it goes out with the commit. The payload has at most 7999 bytes and may be
  /// read by every role of the database.
  public func notify(_ channel: String, _ payload: String = "") throws {
    try Self.check(channel: channel)
    _ = try execute("select pg_notify($1, $2)", [.text(channel), .text(payload)])
  }

  /// The notifications that came; waits for the first at most so long and then gives an empty list. `interrupter.end()` ends
  /// the wait with `.connectionFailed`.
  public func notifications(timeoutMilliseconds: Int) throws -> [Notification] {
    let deadline = ContinuousClock.now.advanced(by: .milliseconds(timeoutMilliseconds))
    while true {
      try checkUsable()
      guard PQconsumeInput(handle) == 1 else {
        interrupter.end()
        throw PostgresError.lost
      }
      var arrived: [Notification] = []
      while let one = PQnotifies(handle) {
        arrived.append(
          Notification(
            channel: String(cString: one.pointee.relname), payload: String(cString: one.pointee.extra)))
        PQfreemem(one)
      }
      let left = ContinuousClock.now.duration(to: deadline)
      guard arrived.isEmpty, left > .zero else { return arrived }
      let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1
      waitForSocket(POLLIN, milliseconds: Int32(clamping: milliseconds))
    }
  }

  private static func check(channel: String) throws {
    let letters = Set("abcdefghijklmnopqrstuvwxyz_0123456789")
    guard let first = channel.first, !first.isNumber, channel.utf8.count < 64, channel.allSatisfy(letters.contains)
    else { throw PostgresError(.misuse, "a channel is a name of lower-case letters, digits and underscores") }
  }
}
