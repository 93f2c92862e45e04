import StageKit
import StageRuntime
import Stages
import System

/// What `regproc doctor` says of all else that a start reads: the settings of stages, the id schema, what belongs to the packets of the country, keys
/// and addresses of platform services. It is read by what reads it at a start.
enum DoctorStart {
  static let check = DoctorCheck("start", remedy: "regproc stages describe NAME shows what a stage is told, and by whom") {
    doctor, report in
    guard doctor.stages != nil, doctor.topics != nil else { return }
    do {
      let plan = try PipelinePlan(
        doctor.settings, run: doctor.run.isEmpty ? ["all"] : doctor.run, doctor.around, isQuiet: true)
      let isWhole = look(plan, doctor, report)
      try EndpointsCommand.withEngine(plan, doctor.around) { _ in }
      if isWhole { report.good("what \(words(doctor)) reads can be used") }
    } catch let problems as FileProblems {
      report.failed("a file has faults")
      doctor.tellProblems(problems)
    } catch {
      report.failed("\(words(doctor)) would not start: \(error)")
    }
  }

  /// Tells what is hardly meant, and what is missing.
  /// - Returns: whether nothing is missing.
  private static func look(_ plan: PipelinePlan, _ doctor: Doctor, _ report: DoctorReport) -> Bool {
    for file in plan.run {
      guard let type = Plugins.named(file.plugin), let given = try? StageEnvironment.given(file, type.spec, plan.environment)
      else { continue }
      for warning in type.warnings(given) { report.warn(warning, as: file.name) }
    }
    var isWhole = true
    for (stage, setting) in plan.missing {
      let words = "\(setting) must be given: \(StageEnvironment.variable(stage, setting)), or in \(plan.stages.file(of: stage))"
      if doctor.run.isEmpty, PipelinePlan.Wire.of(stage, setting) != nil {
        report.warn("\(words) (`up` gives it itself)", as: stage)
      } else {
        report.bad(words, as: stage)
        isWhole = false
      }
    }
    return isWhole
  }

  private static func words(_ doctor: Doctor) -> String {
    doctor.run.isEmpty ? "`up`" : "`run \(doctor.run.joined(separator: " "))`"
  }
}
