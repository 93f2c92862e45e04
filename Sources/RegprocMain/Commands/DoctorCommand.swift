import HTTP
import Kafka
import Postgres
import StageRuntime
import Stages
import System

/// `regproc doctor`: checks settings, files and connections, and says what to do.
enum DoctorCommand {
  static let command = Command(
    name: "doctor", summary: "checks settings, files and connections", takesSettings: true, example: "doctor", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let console = around.console
    Log.level = .error
    let settings = try Settings(arguments, around)
    var isGood = true
    func say(_ name: String, _ good: Bool, _ text: String) {
      isGood = isGood && good
      let word = good ? console.painted("good", "32") : console.painted("bad ", "31;1")
      console.out("\(word)  \(name.padded(to: 10)) \(text)\n")
    }
    func warn(_ name: String, _ text: String) {
      console.out("\(console.painted("warn", "33"))  \(name.padded(to: 10)) \(text)\n")
    }
    var plan: TopicPlan?
    say(
      "home", settings.home.folder != nil,
      settings.home.folder ?? "none: start where routes.yaml and stages/ are, or say --home FOLDER")
    do {
      let stages = try StageFolder(settings)
      say("stages", true, "\(stages.stages.count) in \(stages.folder)")
      do {
        let variables = try StageEnvironment.read(around.environment, stages: stages.stages)
        for file in stages.stages {
          guard let type = Plugins.named(file.plugin) else { continue }
          for warning in type.warnings(try StageEnvironment.given(file, type.spec, variables)) { warn(file.name, warning) }
        }
      } catch {
        say("stages", false, "\(error)")
      }
      do {
        let (routes, warnings) = try stages.routes(settings.routesFile)
        let count = warnings.problems.count
        say(
          "routes", true,
          "\(settings.routesFile), \(routes.flows.count == 1 ? "1 flow" : "\(routes.flows.count) flows")"
            + (count == 0 ? "" : ", \(count) warnings (regproc routes check)"))
        plan = TopicPlan(
          routes, readers: try stages.topicReaders, partitions: settings.partitions, replication: settings.replication,
          retention: nil)
      } catch let problems as FileProblems {
        say("routes", false, "\(settings.routesFile) has faults (regproc routes check)")
        console.err(problems.rendered(colour: console.errorsAreColoured))
      }
    } catch let problems as FileProblems {
      say("stages", false, "a stage file has faults")
      console.err(problems.rendered(colour: console.errorsAreColoured))
    }
    let pool = BlockingPool(name: "doctor", threads: 1)
    defer { pool.close() }
    if let kafka = try settings.kafka() {
      await DoctorKafka.check(kafka, plan, pool, say, warn)
    } else {
      say("kafka", true, "none configured: `up` brings a broker of its own, for trying things out only")
    }
    if let database = try settings.database() {
      do {
        let (status, waiting) = try await pool.run {
          let connection = try Connection(database)
          defer { connection.close() }
          let status = try Migrator.pending(ProgramSchema.migrations, on: connection)
          return (status, status.pending.isEmpty ? try WaitingTopic.all(on: connection) : [])
        }
        let isUnchanged = status.changed.isEmpty
        say(
          "database", isUnchanged,
          isUnchanged
            ? "\(database), \(status.pending.count) migrations to do "
              + (settings.appliesMigrations ? "at the next start" : "by `regproc database migrate`")
            : "\(database): migrations \(status.changed) were applied with another text; this is another program's database")
        for topic in waiting {
          say(
            "waiting", false,
            "\(topic.count) messages wait for \(topic.topic)\(topic.stage.isEmpty ? "" : " (stage \(topic.stage))") since "
              + "\(topic.since.iso): \(topic.reason). Is the topic there (`regproc topics create`), and may this user write it?")
        }
      } catch {
        say("database", false, "\(database): \(error)")
      }
    } else {
      say("database", true, "none configured: `up` starts a Postgres of its own in \(settings.data)/postgres")
    }
    let scanner = await settings.virusScanner.state()
    say(
      "scanner", scanner.fault == nil,
      scanner.fault.map { "\(settings.shown("virus-scanner") ?? ""): \($0); is clamd up, and may this user reach it?" }
        ?? scanner.version ?? "none configured: packets are not scanned for viruses (virus-scanner)")
    do {
      try Files.makeFolder(settings.data)
      try Files.write([], to: settings.data + "/.doctor")
      Files.remove(settings.data + "/.doctor")
      say("data", true, "\(Files.absolute(settings.data)) can be written")
    } catch {
      say("data", false, "\(error)")
    }
    await DoctorPlatform.check(settings, say)
    DoctorTLS.check(settings, now: .now, say, warn)
    for folder in [settings.data, settings.data + "/demo"] {
      guard let note = RunNote.read(in: folder) else { continue }
      do {
        let client = Client(try settings.adminClient())
        defer { client.close() }
        var answer = try await client.send(ClientRequest(url: note.admin + "/actuator/health"))
        // Bound beyond loopback it tells its health to holders of a role alone, but to everybody whether it is ready.
        if answer.status == 401 { answer = try await client.send(ClientRequest(url: note.admin + "/actuator/health/readiness")) }
        say("pipeline", answer.status == 200, "process \(note.process) at \(note.url) says \(answer.status == 200 ? "UP" : "DOWN")")
      } catch {
        say("pipeline", false, "process \(note.process) at \(note.admin) does not answer: \(error)")
      }
    }
    return isGood ? 0 : 1
  }
}
