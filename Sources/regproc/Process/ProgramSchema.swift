import Platform
import Postgres
import StageRuntime

/// All tables of the program.
enum ProgramSchema {
  /// The migrations of engine and embedded platform, in order.
  static let migrations = (EngineSchema.migrations + PlatformSchema.migrations).sorted { $0.version < $1.version }
}
