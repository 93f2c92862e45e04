import Postgres
import StageKit

/// A sealed value of the database that did not open. It stands in the way of nothing but itself.
struct Unopened: Error {
  var code: String
  var message: String
  /// Whether it opens nowhere: it was changed, or names a key that this database never had. Otherwise it is the folder of this process that
  /// lacks the key's file, and another process may open it.
  var isForAll: Bool

  init(_ fault: ServiceError, _ sealed: [UInt8], _ connection: Connection) throws {
    (code, message) = (fault.code, fault.message)
    switch (fault.code, Sealer.id(of: sealed)) {
    case ("RPR-KEY-007", _): isForAll = true
    case ("RPR-KEY-006", let id?): isForAll = try !Self.isKey(id, connection)
    default: isForAll = false
    }
  }

  private static func isKey(_ id: UInt32, _ connection: Connection) throws -> Bool {
    try connection.execute("SELECT 1 FROM platform.sealing_key WHERE id = $1", [.int(Int(id))]).count == 1
  }
}
