import Postgres
import System

extension Lookout {
  /// Does what any process may do beside its engine. One whose database role is a stage's alone leaves it to the others (docs/rights.md).
  /// - Parameters:
  ///   - refused: what is told when the role may not.
  ///   - failing: what is told of the first failure of several in a row.
  func start(_ log: Log, refused: String, failing: String, _ look: @escaping @Sendable () throws -> Void) {
    start(whenFailing: { log.warning(failing, ["error": ErrorText.of($0)]) }) {
      do {
        try look()
      } catch let error as PostgresError where error.sqlState == "42501" {
        log.info(refused)
        self.stop()
      }
    }
  }
}
