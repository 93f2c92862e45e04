import System
import YAML

/// The canonical form of a route file.
public enum RouteFormat {
  /// What came of formatting.
  public enum Outcome: Sendable {
    /// The canonical text.
    case formatted(String)
    /// The file is no YAML; it is left alone.
    case unreadable(problems: [Problem], source: SourceText)
  }

  /// The file's text in canonical form: one order of keys, one layout, comments kept, line ends LF. It need not be without
  /// fault as a route file, only as YAML.
  public static func format(_ bytes: [UInt8], name: String) -> Outcome {
    let document = YAMLDocument.parse(bytes, name: name)
    guard let root = document.root, document.problems.isEmpty else {
      return .unreadable(problems: document.problems, source: document.source)
    }
    return .formatted(YAMLPrinter.print(root, of: document.source, style: style))
  }

  /// A branch has its condition and its destinations on a line each; a stage stands on one line unless it has branches.
  static let style = YAMLStyle(
    width: 110,
    isBlock: { path in
      switch path.last {
      case nil, "flows", "on", "route", "next", "pause", "cases": return true
      default: break
      }
      if path.count == 2, path[0] == "flows" { return true }
      guard path.last == "*", let list = path.dropLast().last else { return false }
      return list == "route" || list == "next" || list == "pause" || list == "cases"
    },
    order: { path in
      if path.isEmpty { return ["version", "on", "foreign-stages", "forwards", "flows"] }
      if path.count == 2, path[0] == "flows" { return ["source", "on", "route", "omitted", "pause", "pin"] }
      if path.last == "on" { return ["failed", "error", "retry"] }
      if path.last == "*", path.dropLast().last == "next" { return ["when", "to"] }
      if path.last == "*", path.dropLast().last == "pause" {
        return ["id", "after", "when", "for", "then", "description"]
      }
      if path.count == 5, path[0] == "flows", path[2] == "route" {
        return ["runs", "entry", "passed", "next", "also", "failed", "error", "retry"]
      }
      return []
    })
}
