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

  /// Keys below which everything stands on lines of its own.
  private static let blocks: Set<String> = [
    FileKey.flows.rawValue, FileKey.on.rawValue, FlowKey.route.rawValue, StageKey.next.rawValue, FlowKey.pause.rawValue,
    CasesKey.cases.rawValue,
  ]
  /// Those whose entries do so too.
  private static let lists = blocks.subtracting([FileKey.flows.rawValue, FileKey.on.rawValue])

  /// A branch has its condition and its destinations on a line each; a stage stands on one line unless it has branches.
  static let style = YAMLStyle(
    width: 110,
    isBlock: { path in
      guard let last = path.last else { return true }
      if blocks.contains(last) || path.count == 2 && path[0] == FileKey.flows.rawValue { return true }
      guard last == "*", let list = path.dropLast().last else { return false }
      return lists.contains(list)
    },
    order: { path in
      if path.isEmpty { return names(FileKey.self) }
      if path.count == 2, path[0] == FileKey.flows.rawValue { return names(FlowKey.self) }
      if path.last == FileKey.on.rawValue { return names(VerdictKey.self) }
      if path.last == "*", path.dropLast().last == StageKey.next.rawValue { return names(BranchKey.self) }
      if path.last == "*", path.dropLast().last == FlowKey.pause.rawValue { return names(PauseKey.self) }
      if path.count == 5, path[0] == FileKey.flows.rawValue, path[2] == FlowKey.route.rawValue { return names(StageKey.self) }
      return []
    })

  private static func names<Key: RouteKey>(_ keys: Key.Type) -> [String] { keys.allCases.map(\.rawValue) }
}
