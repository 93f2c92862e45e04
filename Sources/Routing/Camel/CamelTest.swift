/// A test of a Camel route file, as its evaluator sees it: Jayway's JSONPath filter on the body, or the few forms of Camel's
/// simple language that older files have (docs/upstream/bus-and-routes.md#71-conditions).
indirect enum CamelTest: Hashable, Sendable {
  /// A value of the message is one of these. Jayway finds no value equal to a missing one.
  case equal(path: [String], Condition.Literal)
  case among(path: [String], [Condition.Literal])
  case exists(path: [String])
  case and([CamelTest])
  case or([CamelTest])
  case not(CamelTest)

  /// Whether it holds. This is an evaluator of its own, and not the route file's, so that the two can be held against each
  /// other.
  func holds(_ message: some Routable) -> Bool {
    switch self {
    case .equal(let path, let literal): CamelTest.isEqual(CamelTest.value(path, message), literal)
    case .among(let path, let literals):
      literals.contains { CamelTest.isEqual(CamelTest.value(path, message), $0) }
    case .exists(let path): CamelTest.value(path, message) != .absent
    case .and(let tests): tests.allSatisfy { $0.holds(message) }
    case .or(let tests): tests.contains { $0.holds(message) }
    case .not(let test): !test.holds(message)
    }
  }

  private static func value(_ path: [String], _ message: some Routable) -> FieldValue {
    if path.count == 2, path[0] == "tags" { return message.tag(path[1]).map { .text($0) } ?? .absent }
    return message.field(path.joined(separator: "."))
  }

  private static func isEqual(_ value: FieldValue, _ literal: Condition.Literal) -> Bool {
    switch (value, literal) {
    case (.text(let a), .text(let b)): a == b
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.null, .null): true
    default: false
    }
  }

  /// The same as a condition of a route file.
  var condition: Condition {
    switch self {
    case .equal(let path, let literal): .equal(CamelTest.subject(path), literal)
    case .among(let path, let literals):
      literals.count == 1 ? .equal(CamelTest.subject(path), literals[0]) : .among(CamelTest.subject(path), literals)
    case .exists(let path): .present(CamelTest.subject(path))
    case .and(let tests): CamelTest.joined(tests.map(\.condition), isAll: true)
    case .or(let tests): CamelTest.joined(tests.map(\.condition), isAll: false)
    case .not(let test): .not(test.condition)
    }
  }

  private static func subject(_ path: [String]) -> Condition.Subject {
    path.count == 2 && path[0] == "tags" ? .tag(path[1]) : .field(path.joined(separator: "."))
  }

  /// `A == x or A == y` is `A in [x, y]`, and `A != x and A != y` is `A not in [x, y]`.
  private static func joined(_ conditions: [Condition], isAll: Bool) -> Condition {
    var out: [Condition] = []
    for condition in conditions {
      let values = CamelTest.values(condition, isNegated: isAll)
      if let (subject, more) = values,
        let place = out.firstIndex(where: { CamelTest.values($0, isNegated: isAll)?.0 == subject }),
        let (_, known) = CamelTest.values(out[place], isNegated: isAll)
      {
        let all = known + more.filter { !known.contains($0) }
        let merged: Condition = all.count == 1 ? .equal(subject, all[0]) : .among(subject, all)
        out[place] = isAll ? .not(merged) : merged
      } else if !out.contains(condition) {
        out.append(condition)
      }
    }
    if out.count == 1 { return out[0] }
    return isAll ? .all(out) : .any(out)
  }

  private static func values(
    _ condition: Condition, isNegated: Bool
  ) -> (Condition.Subject, [Condition.Literal])? {
    switch condition {
    case .equal(let subject, let literal) where !isNegated: (subject, [literal])
    case .among(let subject, let literals) where !isNegated: (subject, literals)
    case .not(let inner) where isNegated: values(inner, isNegated: false)
    default: nil
    }
  }

  /// The test of a message whose flags are known: true, false, or what is left to ask.
  func simplified(isValid: FieldValue, internalError: FieldValue) -> Simplified {
    simplified { path in path == ["isValid"] ? isValid : path == ["internalError"] ? internalError : nil }
  }

  /// The test of a message of which some members are known: true, false, or what is left to ask.
  func simplified(_ known: (_ path: [String]) -> FieldValue?) -> Simplified {
    switch self {
    case .equal(let path, let literal):
      guard let value = known(path) else { return .open(self) }
      return CamelTest.isEqual(value, literal) ? .always : .never
    case .among(let path, let literals):
      guard let value = known(path) else { return .open(self) }
      return literals.contains { CamelTest.isEqual(value, $0) } ? .always : .never
    case .exists(let path):
      guard let value = known(path) else { return .open(self) }
      return value != .absent ? .always : .never
    case .not(let test):
      switch test.simplified(known) {
      case .always: return .never
      case .never: return .always
      case .open(let rest): return .open(.not(rest))
      }
    case .and(let tests): return CamelTest.simplified(tests, isAnd: true, known)
    case .or(let tests): return CamelTest.simplified(tests, isAnd: false, known)
    }
  }

  private static func simplified(
    _ tests: [CamelTest], isAnd: Bool, _ known: (_ path: [String]) -> FieldValue?
  ) -> Simplified {
    var rest: [CamelTest] = []
    for test in tests {
      switch test.simplified(known) {
      case .always: if !isAnd { return .always }
      case .never: if isAnd { return .never }
      case .open(let test): rest.append(test)
      }
    }
    if rest.isEmpty { return isAnd ? .always : .never }
    return .open(rest.count == 1 ? rest[0] : (isAnd ? .and(rest) : .or(rest)))
  }

  /// What is left of a test.
  enum Simplified: Hashable {
    case always
    case never
    case open(CamelTest)
  }
}
