import Operations
import EmbeddedPlatform
import Postgres
import StageKit
import StageRuntime
import Stages

/// Who may do what in the database, as roles of Postgres: one that owns the tables and changes them, one for each stage, and two for operators.
/// A role has no password here; a deployment gives it one, or a certificate.
struct DatabaseRights: Sendable {
  /// A role and what it is for.
  struct Role: Sendable, Equatable {
    enum Purpose: Sendable, Equatable {
      /// Owns the tables: migrations, and `keys rotate`.
      case owner
      /// A process of this stage.
      case stage(String)
      /// Commands of operators that only look.
      case reader
      /// Commands of operators that also write: replay, release.
      case operators
    }
    var name: String
    var purpose: Purpose
    /// What it may do; empty for the owner, who may do everything.
    var tables: [TableRights]
  }

  let roles: [Role]
  /// The stages that begin registrations again: they ask what the mediator keeps of a RID, so that none is begun again that is history.
  let reprocessors: Set<String>

  /// - Parameters:
  ///   - prefix: what the names of roles begin with; hyphens of a stage's name become underscores.
  ///   - isEmbedded: whether the processes bring the platform services themselves; a MOSIP deployment's own need no tables here.
  init(_ stages: [StageDefinition], prefix: String, isEmbedded: Bool) {
    let platform = isEmbedded ? PlatformSchema.readable : []
    let ofStages = stages.map { stage in
      Role(
        name: Self.name(prefix, stage.name), purpose: .stage(stage.name),
        tables: EngineSchema.rights(stage.side) + (isEmbedded ? PlatformSchema.rights(stage.side) : []))
    }
    let isMosip = stages.contains { $0.side == .mosip }
    reprocessors = Set(stages.filter { Plugins.named($0.plugin)?.spec.isReprocessor == true }.map(\.name))
    roles =
      [Role(name: prefix + "owner", purpose: .owner, tables: [])] + ofStages + [
        Role(name: prefix + "reader", purpose: .reader, tables: EngineSchema.readable + OperationsSchema.readable + platform),
        Role(
          name: prefix + "operator", purpose: .operators,
          tables: Self.joined(
            EngineSchema.rights(isMosip ? .mosip : .opencrvs) + EngineSchema.readable + OperationsSchema.rights + platform
              + (isEmbedded ? PlatformSchema.operable : []))),
      ]
  }

  /// The role of a stage.
  static func name(_ prefix: String, _ stage: String) -> String { prefix + stage.replacing("-", with: "_") }

  func role(of stage: String) -> Role? { roles.first { $0.purpose == .stage(stage) } }

  private static func joined(_ tables: [TableRights]) -> [TableRights] {
    var out: [TableRights] = []
    for table in tables {
      if let place = out.firstIndex(where: { $0.table == table.table }) {
        out[place].rights.formUnion(table.rights)
      } else {
        out.append(table)
      }
    }
    return out
  }
}
