import JSON

/// What the fields of a record are (docs/upstream/scenarios.md#36-what-a-correction-changes).
extension EventDocument {
  /// The values that the record would have if the pending action were accepted. Of an approved correction those are the requested ones,
  /// which OpenCRVS itself shows only afterwards.
  package func values() -> JSONObject { aggregate(and: pending) }

  /// The values that the record has: what the accepted actions made of it.
  package func formerValues() -> JSONObject { aggregate(and: nil) }

  private func aggregate(and last: Action?) -> JSONObject {
    var values = FieldValues(actions)
    for action in accepted { values.add(action) }
    if let last { values.add(last) }
    return FieldValues.withoutNulls(values.fields)
  }

  /// In the order of their moments, where all have one.
  private var accepted: [Action] {
    let all = actions.filter { $0.status == Action.accepted }
    let moments = all.compactMap(\.createdAt)
    guard moments.count == all.count else { return all }
    return all.indices.sorted { (moments[$0], $0) < (moments[$1], $1) }.map { all[$0] }
  }
}

/// Fields that action after action is laid upon. Each action counts once, so that no chain of names among them has no end, and the work
/// grows with the document and not faster.
private struct FieldValues {
  private(set) var fields = JSONObject()
  private let byId: [String: EventDocument.Action]
  private var added: Set<String> = []

  init(_ actions: [EventDocument.Action]) {
    byId = Dictionary(actions.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  mutating func add(_ action: EventDocument.Action) {
    guard !EventDocument.Action.aside.contains(action.type) else { return }
    if action.type == EventDocument.Action.approveCorrection {
      // OpenCRVS takes an approval that names the request before it was accepted, and changes nothing.
      guard let request = action.requestId.flatMap({ byId[$0] }), request.status == EventDocument.Action.accepted,
        request.type == EventDocument.Action.requestCorrection
      else { return }
      addWhole(request)
    }
    addWhole(action)
  }

  /// What was requested, and over it what the answer to it adds.
  private mutating func addWhole(_ action: EventDocument.Action) {
    if let original = action.originalActionId.flatMap({ byId[$0] }), original.status == EventDocument.Action.requested {
      lay(original)
    }
    lay(action)
  }

  private mutating func lay(_ action: EventDocument.Action) {
    guard added.insert(action.id).inserted else { return }
    Self.lay(action.declaration, over: &fields)
  }

  /// Objects member by member, all else as a whole; a null takes the place of what was there.
  private static func lay(_ above: JSONObject, over below: inout JSONObject) {
    for member in above {
      guard let new = member.value.object, var old = below[member.key]?.object else {
        below[member.key] = member.value
        continue
      }
      below[member.key] = .null
      lay(new, over: &old)
      below[member.key] = .object(old)
    }
  }

  static func withoutNulls(_ object: JSONObject) -> JSONObject {
    var out = JSONObject()
    for member in object where !member.value.isNull {
      out[member.key] = member.value.object.map { .object(withoutNulls($0)) } ?? member.value
    }
    return out
  }
}
