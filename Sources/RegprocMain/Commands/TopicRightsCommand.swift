import JSON
import StageRuntime

/// `regproc topics acls`: Kafka's access control lists for the stages.
enum TopicRightsCommand {
  static let acls = Command(
    name: "topics acls", summary: "prints Kafka's access control lists: what each stage reads and writes, and nothing else",
    details: """
      It prints a script for a shell that has Kafka's kafka-acls.sh in its PATH. Each line gets the script's arguments, so name the brokers:
      `regproc topics acls | sh -s -- --bootstrap-server kafka:9092 --command-config admin.properties`. Processes with such rights need
      `kafka.topics: own`. The principal `topics` is for `regproc topics create` and `topics plan` (docs/rights.md).
      """,
    options: [
      .text("principal-prefix", "TEXT", "what principals begin with; the stage's name follows (default: User:regproc-)"),
      SideOption.option, .flag("bridge", "also for the bridge where no stage of the route file runs elsewhere"),
      .flag("idempotent-write", "also the right on the cluster that brokers before 2.8 ask for"),
      .flag("json", "the rules, one object a line"),
    ], takesSettings: true, example: "topics acls --principal-prefix User:CN=regproc-", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let folder = try StageFolder(settings)
    let (routes, _) = try folder.routes(settings.routesFile)
    let all = arguments.has("bridge") ? folder.stages : try folder.chosen(["all"], routes: routes)
    let rights = try KafkaRights(
      folder, SideOption.chosen(all, arguments, settings), routes, prefix: arguments.text("principal-prefix") ?? "User:regproc-",
      isIdempotentGuarded: arguments.has("idempotent-write"))
    for rule in rights.rules {
      guard arguments.has("json") else {
        around.console.out(rule.line + "\n")
        continue
      }
      let value: JSONValue = [
        "principal": .string(rule.principal), "resource": .string(rule.resource.rawValue),
        "names": .array(rule.names.map { .string($0) }), "pattern": .string(rule.isPrefix ? "prefixed" : "literal"),
        "operations": .array(rule.operations.map { .string($0) }),
      ]
      around.console.out(value.encoded() + [10])
    }
    return 0
  }
}
