import StageRuntime
import Stages
import System

/// What `regproc doctor` says of folders and files.
enum DoctorFiles {
  static let checks = [home, stages, routes]

  private static let home = DoctorCheck("home", remedy: "start where routes.yaml and stages/ are, or say --home FOLDER") {
    doctor, report in
    guard let folder = doctor.settings.home.folder else { return report.failed("none") }
    report.good(folder)
  }

  private static let stages = DoctorCheck("stages", remedy: "regproc stages describe NAME shows what a stage may be told") {
    doctor, report in
    do {
      let folder = try StageFolder(doctor.settings)
      doctor.stages = folder
      report.good("\(folder.stages.count) in \(folder.folder)")
    } catch let problems as FileProblems {
      report.failed("a stage file has faults")
      doctor.tellProblems(problems)
    }
  }

  private static let routes = DoctorCheck("routes", remedy: "regproc routes check shows them") { doctor, report in
    guard let stages = doctor.stages else { return }
    let settings = doctor.settings
    do {
      let (routes, warnings) = try stages.routes(settings.routesFile)
      let count = warnings.problems.count
      report.good(
        "\(settings.routesFile), \(routes.flows.count == 1 ? "1 flow" : "\(routes.flows.count) flows")"
          + (count == 0 ? "" : ", \(count) warnings (regproc routes check)"))
      doctor.topics = TopicPlan(
        routes, readers: try stages.topicReaders, partitions: settings.partitions, replication: settings.replication,
        retention: nil)
    } catch let problems as FileProblems {
      report.failed("\(settings.routesFile) has faults")
      doctor.tellProblems(problems)
    }
  }

  /// Tells only of what is there: most folders have no spool.
  static let spool = DoctorCheck(
    "spool", remedy: "`regproc spool list` shows their codes; `spool retry STAGE` when the cause is gone"
  ) { doctor, report in
    for spool in SpoolFiles.all(in: doctor.settings.data) {
      if spool.waiting > 0 {
        let since = spool.since.map { " since \($0.iso.prefix(16))" } ?? ""
        report.warn("\(spool.stage): \(spool.waiting) wait for the database\(since)")
      }
      if !spool.setAside.isEmpty { report.failed("\(spool.stage): \(spool.setAside.count) are set aside") }
    }
  }

  static let data = DoctorCheck("data", remedy: "may this user write there, or is another folder meant (--data FOLDER)?") {
    doctor, report in
    let folder = doctor.settings.data
    do {
      try Files.makeFolder(folder)
      let fault = try await doctor.blocking.run { FolderProbe.fault(of: folder) }
      if let fault {
        report.failed("\(Files.absolute(folder)): \(fault)")
      } else {
        report.good("\(Files.absolute(folder)) can be written")
      }
    } catch {
      report.failed("\(error)")
    }
  }
}
