import Postgres
import StageRuntime
import System

/// What `regproc doctor` says of the database: its migrations, and messages that wait in it for a topic.
enum DoctorDatabase {
  static let check = DoctorCheck("database", remedy: "is it up, and are address, user and password right?") { doctor, report in
    let settings = doctor.settings
    guard let database = try settings.database() else {
      guard doctor.run.isEmpty else { return report.bad(RunCommand.needsDatabase) }
      return report.good("none configured: `up` starts a Postgres of its own in \(settings.data)/postgres")
    }
    do {
      let (status, waiting, skew) = try await doctor.blocking.run {
        let connection = try Connection(database)
        defer { connection.close() }
        let status = try ProgramSchema.status(on: connection)
        return (
          status, status.pending.isEmpty ? try WaitingTopic.all(on: connection) : [], try ClockSkew.notable(on: connection)
        )
      }
      if let newer = status.tooNew.first {
        report.bad(
          "\(database): migration \(newer.version) (\(newer.name)) needs regproc \(newer.oldestProgram) or newer, and this is "
            + Commands.versionNumber)
      } else if status.changed.isEmpty {
        report.good(
          "\(database), \(status.pending.count) migrations to do "
            + (settings.appliesMigrations ? "at the next start" : "by `regproc database migrate`"))
      } else {
        report.bad(
          "\(database): migrations \(status.changed) were applied with another text; this is another program's database")
      }
      if let skew { report.bad(ClockSkew.words(skew), as: "clock") }
      for topic in waiting {
        report.bad(
          "\(topic.count) messages wait for \(topic.topic)\(topic.stage.isEmpty ? "" : " (stage \(topic.stage))") since "
            + "\(topic.since.iso): \(topic.reason). Is the topic there (`regproc topics create`), and may this user write it?",
          as: "waiting")
      }
    } catch {
      report.failed("\(database): \(error)")
    }
  }
}
