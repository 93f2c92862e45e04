import EmbeddedPlatform
import Postgres
import Registration
import StageKit
import StageRuntime
import Stages
import System

/// `regproc stages try`: one message through one stage, and nothing kept.
enum StagesTryCommand {
  static let command = Command(
    name: "stages try", summary: "has a stage judge one message, and says what it would do; nothing is changed",
    details: """
      The message is JSON as on the topic. What the stage reads is real: packets, identities, the database, by the settings of a stage's
      own process (same --data, --database, --settings). What it would change is noted and not done: no call that changes something, no
      record, no tag, nothing on Kafka. Where it goes on with an answer that nobody gave, the answer is marked as made up; where none can
      be made up, the try ends there (exit code 1). Names are shown, values are not.
      """,
    operands: [Operand(name: "STAGE", meaning: "the name of a stage that takes messages")],
    options: [
      .text("message", "FILE", "the message; - for standard input"), .flag("json", "one object"),
    ], takesSettings: true, example: "stages try packet-validator --message m.json", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    guard let file = arguments.text("message") else { throw WrongUse("--message FILE says which message", command) }
    let settings = try Settings(arguments, around)
    Log.level = .error
    let stage = try stage(arguments.operands[0], StageFolder(settings))
    let plan = try PipelinePlan(settings, run: [stage.name], around)
    let message = try message(file)
    let report = try await rehearse(stage, message, plan, settings)
    let output = StagesTryOutput(stage: stage, message: message, report: report)
    if arguments.has("json") {
      around.console.out(output.json.encoded(pretty: true) + [10])
    } else {
      around.console.out(output.text)
    }
    if let end = report.end { around.console.err("regproc: no verdict: \(end)\n") }
    return report.verdict == nil ? 1 : 0
  }

  private static func stage(_ name: String, _ folder: StageFolder) throws(Failure) -> StageDefinition {
    guard let stage = folder.stage(name) else {
      let hint = folder.stages.map(\.name).nearest(to: name).map { "; did you mean \($0)?" } ?? ""
      throw Failure("RPR-TRY-001: there is no stage \(name) in \(folder.folder)\(hint) (regproc stages list)")
    }
    guard folder.takesMessages.contains(name) else { throw Failure("\(RehearsalError.takesNoMessages(name))") }
    return stage
  }

  private static func message(_ file: String) throws -> Message {
    let bytes = try file == "-" ? StandardInput.read(limit: Message.maximumBytes) : Files.read(file, limit: Message.maximumBytes)
    do { return try Message(decoding: bytes) } catch {
      let name = file == "-" ? "standard input" : Showing.withoutSecretParts(file)
      throw Failure("RPR-TRY-003: \(name) is no message of the bus: \(error)")
    }
  }

  private static func rehearse(
    _ stage: StageDefinition, _ message: Message, _ plan: PipelinePlan, _ settings: Settings
  ) async throws -> RehearsalReport {
    let journal = try JournalAccess.running(settings)
    let folder = journal?.folder ?? settings.data
    guard settings.usesMosip || Files.exists(folder + "/platform/keys") else {
      throw Failure("RPR-TRY-007: there are no keys in \(folder)/platform; --data names the data folder of the stages")
    }
    // What is too large for memory lies where it would lie in the stage's own process, without a name.
    if Files.exists(folder + "/tmp") { TemporaryFiles.use(folder + "/tmp") }
    let nowhere = PostgresSettings(host: "/nonexistent", user: "none", database: "none")
    let pool = Pool(journal?.database.readOnly ?? nowhere, size: 4)
    defer { pool.close() }
    if journal != nil { try await pool.with { try ProgramSchema.require(on: $0) } }
    let platform = try PlatformChoice(
      settings, folder: folder + "/platform", pool: pool, register: PostgresRegister(pool: pool), plan: plan,
      roles: Pipeline.roles, publicURL: settings.url(port: settings.port), isStarted: journal != nil, isReadOnly: true)
    let result: Result<RehearsalReport, any Error>
    do {
      let rehearsal = try rehearsal(stage, plan, platform.services, journal == nil ? nil : pool, settings)
      result = .success(try await rehearsal.run(message))
    } catch { result = .failure(error) }
    await platform.stop()
    return try result.get()
  }

  private static func rehearsal(
    _ stage: StageDefinition, _ plan: PipelinePlan, _ services: Services, _ pool: Pool?, _ settings: Settings
  ) throws -> Rehearsal {
    guard let type = Plugins.named(stage.plugin) else { throw Failure("there is no plugin \(stage.plugin)") }
    let given = try StageEnvironment.given(stage, type.spec, plan.environment)
    let stageSettings = try StageSettings(stage: stage.name, declared: type.spec.settings, given: given)
    return Rehearsal(
      stage, plugin: try type.init(settings: stageSettings), settings: stageSettings, routes: plan.routes,
      directory: plan.stages.stages, services: services, pool: pool,
      needingDatabase: settings.usesMosip ? [.registrations, .store] : [.registrations, .store, .tags, .identities, .credentials])
  }
}
