import System
import YAML

/// What came of reading a route file.
public struct RouteReading: Sendable {
  /// The flows; nil when there is an error.
  public let file: RouteFile?
  /// Errors and warnings in the order of the file.
  public let problems: [Problem]
  /// The file's text, for rendering problems.
  public let source: SourceText

  /// All problems as a person reads them, an empty line between two.
  public func report(colours: Bool = false) -> String {
    problems.map { $0.render(source: source, colours: colours) }.joined(separator: "\n\n")
  }
}

extension RouteFile {
  /// Reads and checks a route file. Everything that is wrong is found in one run.
  /// - Parameters:
  ///   - name: the file's name for messages.
  ///   - stages: the stages that the file may name.
  public static func read(_ bytes: [UInt8], name: String, stages: StageDirectory) -> RouteReading {
    let document = YAMLDocument.parse(bytes, name: name)
    let problems = Problems(file: name, document.problems)
    var file: RouteFile?
    if let root = document.root {
      var reader = RouteFileReader(problems: problems, stages: stages)
      if let read = reader.file(root) {
        RouteCheck(
          stages: reader.stages, problems: problems, broken: read.broken, brokenStages: read.brokenStages
        ).check(read.flows)
        if !problems.hasErrors {
          file = RouteFile(
            name: name, flows: read.flows, forwards: read.forwards, foreign: read.foreign, stages: stages)
        }
      }
    }
    return RouteReading(file: file, problems: problems.all, source: document.source)
  }

  /// Checks flows that did not come from a file in YAML, such as imported ones.
  public func check(stages: StageDirectory) -> [Problem] {
    let problems = Problems(file: name)
    RouteCheck(stages: stages.adding(foreign), problems: problems, broken: []).check(flows)
    return problems.all
  }
}
