import Routing
import Glibc
import StageKit

/// `regproc routes decide`: where messages go, a line a message.
enum RoutesDecideCommand {
  static let command = Command(
    name: "routes decide", summary: "says where messages go: JSON lines in, one line out each, in order",
    details: """
      A line is {"after":STAGE,"message":{MessageDTO}}: STAGE by its name or its topic prefix, the flow is the message's reg_type.
      The answer is {"to":[...],"topics":[...],"commands":[...],"branch":"FILE:LINE"}. A line that cannot be answered gives
      {"line":N,"code":...,"error":...}, the rest goes on, and the exit code is 1.
      """,
    takesSettings: true, example: "routes decide --routes routes.yaml < questions.jsonl", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let stages = try StageFolder(settings)
    let (routes, _) = try stages.routes(settings.routesFile)
    var lines = DecisionLines(routes)
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var out: [UInt8] = []
    out.reserveCapacity(1 << 17)
    while true {
      let count = read(0, &buffer, buffer.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure("standard input cannot be read: \(Files.reason())")
      }
      if count == 0 { break }
      buffer.withUnsafeBytes { lines.take(UnsafeRawBufferPointer(rebasing: $0[..<count]), into: &out) }
      around.console.out(out)
      out.removeAll(keepingCapacity: true)
    }
    lines.finish(into: &out)
    around.console.out(out)
    guard lines.faults == 0 else {
      around.console.err("regproc: \(lines.faults) of \(lines.line) lines could not be answered\n")
      return 1
    }
    return 0
  }
}
