import Registration

/// The picture of flows: stages and the ways between them, conditions on the ways, workflow commands as ends, stages that run
/// elsewhere marked.
public struct RouteDrawing: Sendable {
  enum Shape { case stage, elsewhere, command }

  struct Node {
    let id: String
    let label: String
    let shape: Shape
  }

  struct Edge {
    let from: String
    let to: String
    var label: String
    /// Whether it is a way of passed messages.
    let isPassed: Bool
  }

  struct Chart {
    let process: String
    var nodes: [Node] = []
    var edges: [Edge] = []
  }

  let charts: [Chart]

  /// Draws flows of a file: all, or that of one process. With `failures` false only the ways of passed messages are drawn.
  public init(_ file: RouteFile, process: String? = nil, failures: Bool = true) {
    charts = file.flows.filter { process == nil || $0.process.value == process }.map {
      RouteDrawing.chart($0, failures)
    }
  }

  private static func chart(_ flow: Flow, _ failures: Bool) -> Chart {
    var chart = Chart(process: flow.process.value)
    var edges: [Edge] = []
    var ends: [String] = []
    let places = Set(flow.stages.map(\.name.value))
    for (index, stage) in flow.stages.enumerated() {
      let name = stage.name.value
      chart.nodes.append(Node(id: name, label: name, shape: stage.runsElsewhere ? .elsewhere : .stage))
      for verdict in failures ? VerdictKind.allCases : [.passed] {
        let branches = flow.branches(ofStageAt: index, for: verdict)
        for branch in branches {
          let condition = branch.when.map { "\($0)" } ?? (branches.count > 1 ? "otherwise" : "")
          let kind = verdict == .passed ? "" : verdict.rawValue
          let label = [kind, condition].filter { !$0.isEmpty }.joined(separator: ": ")
          for (number, destination) in branch.to.enumerated() {
            let to = destination.value.description
            if case .command = destination.value, !ends.contains(to) { ends.append(to) }
            if case .stage = destination.value, !places.contains(to) { continue }
            let text = number == 0 ? label : (label.isEmpty ? "also" : label + ", also")
            // Several verdicts that lead to one place are one way.
            if let same = edges.firstIndex(where: {
              $0.from == name && $0.to == to && $0.isPassed == (verdict == .passed) && !$0.label.isEmpty
                && !text.isEmpty
            }) {
              edges[same].label += " | " + text
            } else {
              edges.append(Edge(from: name, to: to, label: text, isPassed: verdict == .passed))
            }
          }
        }
      }
    }
    for rule in flow.pauses {
      let after = rule.after.isEmpty ? flow.stages.map(\.name.value) : rule.after.map(\.value)
      let end = "mark-as-paused (\(rule.id.value), \(rule.seconds) s)"
      ends.append(end)
      for stage in after where places.contains(stage) {
        edges.append(Edge(from: stage, to: end, label: "\(rule.when)", isPassed: false))
      }
    }
    chart.nodes += ends.map { Node(id: $0, label: $0, shape: .command) }
    chart.edges = edges
    return chart
  }

  // MARK: - Mermaid

  /// A flowchart in Mermaid's language (mermaid.js.org/syntax/flowchart), all flows in one, each in a frame of its own.
  public var mermaid: String {
    var out = "flowchart TD\n"
    for (number, chart) in charts.enumerated() {
      let ids = chart.nodes.enumerated().reduce(into: [String: String]()) {
        $0[$1.element.id] = "f\(number)n\($1.offset)"
      }
      func id(_ name: String) -> String { ids[name] ?? "unknown" }
      out += "  subgraph f\(number)[\"\(RouteDrawing.mermaid(chart.process))\"]\n"
      for node in chart.nodes {
        let label = RouteDrawing.mermaid(node.label)
        switch node.shape {
        case .stage: out += "    \(id(node.id))[\"\(label)\"]\n"
        case .elsewhere: out += "    \(id(node.id))[/\"\(label)<br/>runs elsewhere\"/]:::elsewhere\n"
        case .command: out += "    \(id(node.id))([\"\(label)\"]):::command\n"
        }
      }
      for edge in chart.edges {
        let arrow = edge.isPassed ? "-->" : "-.->"
        let label = edge.label.isEmpty ? "" : "|\"\(RouteDrawing.mermaid(edge.label))\"|"
        out += "    \(id(edge.from)) \(arrow)\(label) \(id(edge.to))\n"
      }
      out += "  end\n"
    }
    return out + "  classDef command fill:#eee,stroke:#888\n  classDef elsewhere stroke-dasharray:5 5\n"
  }

  /// Text inside quotes: what would end it or be markup is written as an entity.
  private static func mermaid(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "#quot;"
      case "<": out += "#lt;"
      case ">": out += "#gt;"
      case "#": out += "#35;"
      case "&": out += "#amp;"
      case "`": out += "#96;"
      case "\u{0}"..."\u{1F}", "\u{7F}": out += " "
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  // MARK: - DOT

  /// A graph in the language of Graphviz (graphviz.org/doc/info/lang.html), a cluster a flow.
  public var dot: String {
    var out = """
      digraph routes {
        rankdir=TB
        node [shape=box, style=rounded, fontname="sans-serif", fontsize=11]
        edge [fontname="sans-serif", fontsize=9]

      """
    for (number, chart) in charts.enumerated() {
      func id(_ name: String) -> String { RouteDrawing.dot("\(number) \(name)") }
      out += "  subgraph cluster_\(number) {\n    label=\(RouteDrawing.dot(chart.process))\n    color=gray\n"
      for node in chart.nodes {
        let label = RouteDrawing.dot(node.label)
        switch node.shape {
        case .stage: out += "    \(id(node.id)) [label=\(label)]\n"
        case .elsewhere:
          let text = RouteDrawing.dot(node.label + "\nruns elsewhere")
          out += "    \(id(node.id)) [label=\(text), style=\"rounded,dashed\"]\n"
        case .command:
          out += "    \(id(node.id)) [label=\(label), shape=oval, style=filled, fillcolor=gray93, color=gray50]\n"
        }
      }
      for edge in chart.edges {
        let style = edge.isPassed ? "" : ", style=dashed, color=gray50, fontcolor=gray40"
        out += "    \(id(edge.from)) -> \(id(edge.to)) [label=\(RouteDrawing.dot(edge.label))\(style)]\n"
      }
      out += "  }\n"
    }
    return out + "}\n"
  }

  private static func dot(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": out += "\\\(scalar)"
      case "\n": out += "\\n"
      case "\u{0}"..."\u{1F}", "\u{7F}": out += " "
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
