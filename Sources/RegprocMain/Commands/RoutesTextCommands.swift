import Routing
import YAML

/// `regproc routes schema` and `regproc routes format`: the route file as a text.
enum RoutesTextCommands {
  static let schema = Command(
    name: "routes schema", summary: "prints the JSON Schema of route files, for editors",
    example: "routes schema > \(RouteSchema.path)"
  ) { _, around in
    around.console.out(RouteSchema.text())
    return 0
  }

  static let format = Command(
    name: "routes format", summary: "prints a route file in its canonical form, comments kept",
    operands: [Operand(name: "FILE", meaning: "the route file (default: the one of the settings)", isRequired: false)],
    options: [
      .flag("write", "writes it into the file instead"),
      .flag("check", "prints nothing; exit code 1 if the file is not in canonical form"),
    ], takesSettings: true, example: "routes format routes.yaml --check", run: runFormat)

  private static func runFormat(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let path = try arguments.operand(0) ?? Settings(arguments, around).routesFile
    let bytes = try Files.read(path)
    switch RouteFormat.format(bytes, name: path) {
    case .unreadable(let problems, let source):
      throw FileProblems(problems, source: source)
    case .formatted(let text):
      let canonical = Array(text.utf8)
      if arguments.has("check") {
        guard canonical != bytes else { return 0 }
        let line = firstDifference(bytes, canonical)
        around.console.err("\(path):\(line): not in canonical form; regproc routes format --write \(path)\n")
        return 1
      }
      if arguments.has("write") {
        if canonical != bytes { try Files.write(canonical, to: path, mode: 0o644) }
      } else {
        around.console.out(canonical)
      }
      return 0
    }
  }

  /// The number of the first line that differs.
  private static func firstDifference(_ old: [UInt8], _ new: [UInt8]) -> Int {
    let end = zip(old, new).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(old.count, new.count)
    return old[..<end].count { $0 == 10 } + 1
  }
}
