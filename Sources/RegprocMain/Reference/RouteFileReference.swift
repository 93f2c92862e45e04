import Routing

/// The tables of docs/route-file.md, between the marks.
enum RouteFileReference {
  static var tables: String {
    var part = Markdown()
    part.heading(2, "All keys")
    for mapping in RouteMapping.ofRouteFiles { add(mapping, to: &part) }
    part.heading(3, "Workflow commands")
    part.table(
      ["destination", "meaning", "on the wire"],
      WorkflowCommand.offered.map { ["`\($0.name)`", $0.meaning, "`\($0.actionCode)`"] })
    part.heading(3, "Fields of a message")
    part.table(["field", "value", "meaning"], MessageField.allCases.map { ["`\($0.rawValue)`", $0.values, $0.meaning] })
    part.heading(2, "All keys of route cases")
    for mapping in RouteMapping.ofCases { add(mapping, to: &part) }
    return part.text
  }

  private static func add(_ mapping: RouteMapping, to part: inout Markdown) {
    part.heading(3, mapping.name)
    part.table(
      ["key", "value", "meaning", "example"],
      mapping.keys.map { name, says in
        ["`\(name)`" + (says.isRequired ? " (must be there)" : ""), says.value.words, says.meaning, "`\(says.example)`"]
      })
  }
}
