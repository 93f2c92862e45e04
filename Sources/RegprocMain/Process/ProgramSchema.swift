import Operations
import EmbeddedPlatform
import Postgres
import StageRuntime

/// All tables of the program.
enum ProgramSchema {
  /// The migrations of engine, operations and embedded platform, in order.
  static let migrations = (EngineSchema.migrations + OperationsSchema.migrations + PlatformSchema.migrations).sorted {
    $0.version < $1.version
  }
}
