import JSON
import Routing
import StageRuntime
import System

/// `regproc routes status`: who routes by which version of the route file.
enum RoutesStatusCommand {
  static let command = Command(
    name: "routes status", summary: "shows by which version of the route file every process routes, and who is behind",
    details: """
      Compared with the route file that this command reads. Processes report every few seconds; one that was silent for half a
      minute counts as gone. The versions are those that were ever in force, with the packets under way that began with each:
      packets of a flow with `pin: true` finish on it.
      Exit code 0: all that run route by this file; 1: one is behind or has refused it, or nothing runs.
      """,
    options: [.flag("json", "one object a line")], takesSettings: true, example: "routes status --routes routes.yaml", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (routes, _) = try StageFolder(settings).routes(settings.routesFile)
    let digest = routes.digest
    let status = try await JournalAccess.with(settings) { connection, _ in try RouteStatus.read(connection) }
    let console = around.console
    let alive = status.reports.filter(\.isAlive)
    let behind = alive.filter { state($0, digest) != .inStep }
    if arguments.has("json") {
      for report in status.reports { console.out(json(report, digest).encoded() + [10]) }
      for version in status.versions { console.out(json(version, digest).encoded() + [10]) }
    } else {
      var table = TextTable(head: ["process", "stages", "version", "since", "state"])
      for report in status.reports {
        table.add([
          report.instance, report.stages.count > 4 ? "\(report.stages.count) stages" : report.stages.joined(separator: " "),
          String(report.digest.prefix(8)), report.takenAt.iso,
          words(report, digest),
        ])
      }
      console.out(table.rendered(console))
      var versions = TextTable(head: ["version", "kept since", "packets under way that began with it"])
      for version in status.versions {
        let mark = version.digest == digest ? " (this file)" : ""
        versions.add([String(version.digest.prefix(8)) + mark, version.keptAt.iso, String(version.packets)])
      }
      console.out("\n" + versions.rendered(console))
    }
    let what = "\(settings.routesFile), version \(digest.prefix(8))"
    if alive.isEmpty {
      console.err("nothing runs; \(what)\n")
    } else {
      console.err("\(alive.count - behind.count) of \(alive.count) processes route by \(what)\n")
    }
    return alive.isEmpty || !behind.isEmpty ? 1 : 0
  }

  private enum State: String {
    case inStep = "in-step"
    case behind, refused, gone
  }

  private static func state(_ report: RouteStatus.Report, _ digest: String) -> State {
    if !report.isAlive { return .gone }
    // Also one that still routes by this very file: the one it reads is another, with faults.
    if report.refused != nil { return .refused }
    return report.digest == digest ? .inStep : .behind
  }

  private static func words(_ report: RouteStatus.Report, _ digest: String) -> String {
    switch state(report, digest) {
    case .inStep: "in step"
    case .behind: "behind"
    case .refused: "refused its file: \(report.refused ?? "")"
    case .gone: "gone; last seen \(report.seenAt.iso)"
    }
  }

  private static func json(_ report: RouteStatus.Report, _ digest: String) -> JSONValue {
    [
      "kind": "process", "instance": .string(report.instance), "stages": .array(report.stages.map { .string($0) }),
      "digest": .string(report.digest), "state": .string(state(report, digest).rawValue),
      "refused": JSONValue(report.refused), "since": .string(report.takenAt.iso), "seenAt": .string(report.seenAt.iso),
    ]
  }

  private static func json(_ version: RouteStatus.Version, _ digest: String) -> JSONValue {
    [
      "kind": "version", "digest": .string(version.digest), "keptAt": .string(version.keptAt.iso),
      "packets": JSONValue(version.packets), "isThisFile": .bool(version.digest == digest),
    ]
  }
}
