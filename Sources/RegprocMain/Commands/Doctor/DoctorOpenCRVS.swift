import Operations
import Postgres
import StageKit
import StageRuntime
import Stages
import System

/// What `regproc doctor` says of an OpenCRVS of 1.7 or later, which asks and waits: how the mediator reaches it, and what it waits for.
enum DoctorOpenCRVS {
  static let checks = [connection, awaited]

  private static let connection = DoctorCheck("opencrvs", remedy: "docs/connecting.md says what is set where") { doctor, report in
    guard doctor.stages != nil, doctor.topics != nil else { return }
    // What keeps it from being read was told by the check of the start.
    guard
      let plan = try? PipelinePlan(
        doctor.settings, run: doctor.run.isEmpty ? ["all"] : doctor.run, doctor.around, isQuiet: true)
    else { return }
    for file in plan.run where file.plugin == OpenCRVSMediator.spec.name {
      guard let connection = try? connection(file, plan) else { continue }
      tell(await connection.findings(try PlatformChoice.http(doctor.settings)), report)
    }
  }

  static func tell(_ findings: [OpenCRVSConnection.Finding], _ report: DoctorReport) {
    for finding in findings {
      switch finding.kind {
      case .good: report.good(finding.text)
      case .warn: report.warn(finding.text)
      case .bad: report.bad(finding.text)
      }
    }
  }

  /// Those of its settings that are needed here are never given by `up` itself; the others may be missing.
  private static func connection(_ file: StageDefinition, _ plan: PipelinePlan) throws -> OpenCRVSConnection? {
    let given = try StageEnvironment.given(file, OpenCRVSMediator.spec, plan.environment)
    var all = given
    for field in OpenCRVSMediator.spec.settings where field.defaultValue == nil && given[field.name] == nil { all[field.name] = "" }
    return try OpenCRVSConnection(
      try StageSettings(stage: file.name, declared: OpenCRVSMediator.spec.settings, given: all))
  }

  private static let awaited = DoctorCheck("awaited", remedy: "`regproc awaited list` shows them") { doctor, report in
    guard let database = try doctor.settings.database() else { return }
    let counts = try? await doctor.blocking.run {
      let connection = try Connection(database)
      defer { connection.close() }
      return try Awaited.counts(endingWithin: 86_400, on: connection)
    }
    // Without a database, or before its migrations, there is nothing of it: the check of the database tells.
    if let counts { tell(counts.undeliverable, counts.ending, report) }
  }

  static func tell(_ undeliverable: Awaited.Count, _ ending: Awaited.Count, _ report: DoctorReport) {
    if undeliverable.count > 0 {
      report.failed(
        "OpenCRVS can be told no more of \(undeliverable.count), the oldest since \(day(undeliverable.since)): their records hang there "
          + "until a registrar sends them again")
    }
    if ending.count > 0 {
      report.warn(
        "the time in which OpenCRVS can be answered ends within a day for \(ending.count), the oldest since \(day(ending.since)): "
          + "`regproc awaited list` shows what keeps them")
    }
  }

  private static func day(_ moment: Instant?) -> String { moment.map { String($0.iso.prefix(10)) } ?? "?" }
}
