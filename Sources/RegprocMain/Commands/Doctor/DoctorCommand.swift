import StageRuntime
import System

/// `regproc doctor`: checks settings, files and connections, and says what to do.
enum DoctorCommand {
  static let command = Command(
    name: "doctor", summary: "checks settings, files and connections",
    details: """
      It reads all that `up` reads, or with names of stages all that `regproc run` of them reads, and starts nothing: where that
      would refuse to start, this says why. Exit code 1 where anything is bad.
      """,
    operands: [
      Operand(
        name: "STAGE", meaning: "what `run` is given (default: everything in one process)", isRequired: false, isRepeatable: true)
    ], takesSettings: true, example: "doctor packet-validator", run: run)

  /// What is looked at, in this order: what follows may need what was found before.
  static let checks: [DoctorCheck] =
    DoctorFiles.checks + [
      DoctorStart.check, DoctorKafka.check, DoctorDatabase.check, DoctorPlatform.scanner, DoctorFiles.data, DoctorFiles.spool,
      DoctorPlatform.services, DoctorPlatform.objects, DoctorTLS.check, DoctorPipeline.check,
    ] + DoctorOpenCRVS.checks

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let console = around.console
    Log.level = .error
    let doctor = Doctor(
      try Settings(arguments, around), around, run: arguments.operands,
      tell: { finding in
        let word =
          switch finding.kind {
          case .good: console.painted("good", "32")
          case .warn: console.painted("warn", "33")
          case .bad: console.painted("bad ", "31;1")
          }
        console.out("\(word)  \(finding.name.padded(to: 10)) \(finding.text)\n")
      }, tellProblems: { console.err($0.rendered(colour: console.errorsAreColoured)) })
    defer { doctor.blocking.close() }
    for check in checks {
      let report = DoctorReport(doctor, check)
      // One that cannot be done is told, and the others are done.
      do { try await check.look(doctor, report) } catch { report.failed("\(error)") }
    }
    return doctor.isGood ? 0 : 1
  }
}

/// One thing that `regproc doctor` looks at.
struct DoctorCheck: Sendable {
  /// What its lines begin with.
  let name: String
  /// What helps where it fails.
  let remedy: String
  /// Looks, and reports what it finds.
  let look: @Sendable (Doctor, DoctorReport) async throws -> Void

  init(_ name: String, remedy: String, _ look: @escaping @Sendable (Doctor, DoctorReport) async throws -> Void) {
    (self.name, self.remedy, self.look) = (name, remedy, look)
  }
}

/// A line of `regproc doctor`.
struct DoctorFinding: Sendable {
  enum Kind: String { case good, warn, bad }

  var kind: Kind
  var name: String
  var text: String
}

/// A run of `regproc doctor`: what is checked, and what later checks need of earlier ones.
final class Doctor {
  let settings: Settings
  let around: Surroundings
  /// The stages of the process that is asked about; empty for all in one.
  let run: [String]
  /// For calls that block.
  let blocking = BlockingPool(name: "doctor", threads: 1)
  /// The stages, once they were read.
  var stages: StageFolder?
  /// The topics that are needed, once stages and route file were read.
  var topics: TopicPlan?
  private(set) var isGood = true
  fileprivate let tell: (DoctorFinding) -> Void
  /// Shows faults of files with their lines.
  let tellProblems: (FileProblems) -> Void

  init(
    _ settings: Settings, _ around: Surroundings, run: [String] = [], tell: @escaping (DoctorFinding) -> Void,
    tellProblems: @escaping (FileProblems) -> Void = { _ in }
  ) {
    (self.settings, self.around, self.run) = (settings, around, run)
    (self.tell, self.tellProblems) = (tell, tellProblems)
  }

  fileprivate func note(_ finding: DoctorFinding) {
    if finding.kind == .bad { isGood = false }
    tell(finding)
  }
}

/// Where a check reports, by its own name unless it gives another.
struct DoctorReport {
  private let doctor: Doctor
  private let check: DoctorCheck

  init(_ doctor: Doctor, _ check: DoctorCheck) { (self.doctor, self.check) = (doctor, check) }

  func good(_ text: String, as name: String? = nil) { note(.good, text, name) }
  func warn(_ text: String, as name: String? = nil) { note(.warn, text, name) }
  func bad(_ text: String, as name: String? = nil) { note(.bad, text, name) }

  /// It failed: told with the remedy.
  func failed(_ text: String) { note(.bad, "\(text); \(check.remedy)", nil) }

  private func note(_ kind: DoctorFinding.Kind, _ text: String, _ name: String?) {
    doctor.note(DoctorFinding(kind: kind, name: name ?? check.name, text: text))
  }
}
