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

  /// The version by which a database of a newer program knows whether this one may run on it.
  static let program = ProgramVersion(Commands.versionNumber) ?? .first

  /// Applies what the database lacks, as `Migrator.apply`.
  static func apply(on connection: Connection) throws -> [Migration] {
    try Migrator.apply(migrations, by: program, on: connection)
  }

  /// Refuses a database that lacks something, as `Migrator.require`.
  static func require(on connection: Connection) throws { try Migrator.require(migrations, by: program, on: connection) }

  /// How the database stands, as `Migrator.pending`.
  static func status(on connection: Connection) throws -> MigrationStatus {
    try Migrator.pending(migrations, by: program, on: connection)
  }
}
