/// Which branches of a stage can match at all, and whether some message matches none: found by trying every combination
/// of values that the conditions can tell apart (each value they name, one that they do not name, null, absent).
struct BranchCoverage {
  /// Why a branch never matches.
  enum Reason: Hashable {
    /// Its own condition contradicts itself.
    case contradiction
    /// The branch at this index matches whenever it would.
    case covered(by: Int)
    /// Each of its messages is taken by one of several earlier branches.
    case coveredByEarlier
  }

  /// The branches that never match.
  private(set) var unreachable: [Int: Reason] = [:]
  /// A message that no branch takes, in words; nil when every message is taken.
  private(set) var example: String?
  /// Whether all combinations were tried; if not, only what is plain to see was found.
  private(set) var isExact = true

  /// Comparisons of two branches; more than a person's conditions need. Above it a look is all that is taken.
  private static let limit = 2_000_000

  /// - Parameter process: the flow's process, the one value that `reg_type` can have.
  init(_ conditions: [Condition?], process: String) {
    let axes = BranchCoverage.axes(conditions, process: process)
    var size = 1
    for axis in axes where size <= BranchCoverage.limit { size *= axis.values.count }
    let pairs = conditions.count * conditions.count
    if size <= BranchCoverage.limit / max(pairs, 1) { tryAll(conditions, axes, size) } else { look(conditions) }
  }

  private mutating func tryAll(_ conditions: [Condition?], _ axes: [Axis], _ size: Int) {
    var isTaken = [Bool](repeating: false, count: conditions.count)
    var everMatches = isTaken
    // covers[j][i]: whether i matched every time that j did.
    var covers = conditions.indices.map { [Bool](repeating: true, count: $0) }
    for number in 0..<size {
      let message = Combination(axes, number)
      guard message.isPassed else { continue }
      let matches = conditions.map { $0?.matches(message) ?? true }
      for (index, isMatch) in matches.enumerated() where isMatch {
        everMatches[index] = true
        for earlier in 0..<index where !matches[earlier] { covers[index][earlier] = false }
      }
      if let first = matches.firstIndex(of: true) {
        isTaken[first] = true
      } else if example == nil {
        example = message.words
      }
    }
    for index in conditions.indices where !isTaken[index] {
      if !everMatches[index] {
        unreachable[index] = .contradiction
      } else if let earlier = covers[index].firstIndex(of: true) {
        unreachable[index] = .covered(by: earlier)
      } else {
        unreachable[index] = .coveredByEarlier
      }
    }
  }

  private mutating func look(_ conditions: [Condition?]) {
    isExact = false
    for (index, condition) in conditions.enumerated() {
      if let earlier = conditions[..<index].firstIndex(where: { $0 == nil || $0 == condition }) {
        unreachable[index] = .covered(by: earlier)
      }
    }
    if !conditions.contains(nil) { example = "one that meets none of the conditions" }
  }
}

extension BranchCoverage {
  /// A tag or field with the values worth trying.
  fileprivate struct Axis {
    let subject: Condition.Subject
    let values: [FieldValue]
  }

  fileprivate static func axes(_ conditions: [Condition?], process: String) -> [Axis] {
    var order: [Condition.Subject] = []
    var literals: [Condition.Subject: Set<Condition.Literal>] = [:]
    for case let condition? in conditions {
      condition.visit { subject, values in
        if literals[subject] == nil { order.append(subject) }
        literals[subject, default: []].formUnion(values)
      }
    }
    // The two flags make the verdict together.
    let flags = [MessageField.isValid, .internalError].map { Condition.Subject.field($0.rawValue) }
    if flags.contains(where: { literals[$0] != nil }) {
      for flag in flags where literals[flag] == nil {
        order.append(flag)
        literals[flag] = []
      }
    }
    return order.map { subject in
      let named = (literals[subject] ?? []).sorted { $0.description < $1.description }
      return Axis(subject: subject, values: BranchCoverage.values(subject, named, process))
    }
  }

  private static func values(
    _ subject: Condition.Subject, _ named: [Condition.Literal], _ process: String
  ) -> [FieldValue] {
    func unnamedText() -> FieldValue {
      var text = "something else"
      while named.contains(.text(text)) { text += "'" }
      return .text(text)
    }
    let values: [FieldValue] = named.compactMap {
      switch $0 {
      case .text(let text): .text(text)
      case .int(let number): .int(number)
      case .bool, .null: nil
      }
    }
    guard case .field(let name) = subject, let field = MessageField(rawValue: name) else {
      return values + [unnamedText(), .absent]
    }
    if field == .process { return [.text(process)] }
    let null: [FieldValue] = field.isNullable ? [.null] : []
    switch field.kind {
    case .bool: return [.bool(true), .bool(false)] + null
    case .int:
      var other = 0
      while named.contains(.int(other)) { other += 1 }
      return values + [.int(other)] + null
    case .text:
      // Of messageBusAddress the whole object may be null, and then there is no address.
      return values + [unnamedText()] + null + (field == .address ? [.absent] : [])
    }
  }

  /// One combination of values, as a message.
  fileprivate struct Combination: Routable {
    private let axes: [Axis]
    private let chosen: [FieldValue]

    init(_ axes: [Axis], _ number: Int) {
      var rest = number
      self.axes = axes
      chosen = axes.map { axis in
        defer { rest /= axis.values.count }
        return axis.values[rest % axis.values.count]
      }
    }

    private func value(_ subject: Condition.Subject) -> FieldValue? {
      axes.firstIndex { $0.subject == subject }.map { chosen[$0] }
    }

    func tag(_ name: String) -> String? {
      if case .text(let text)? = value(.tag(name)) { text } else { nil }
    }

    func field(_ name: String) -> FieldValue { value(.field(name)) ?? .absent }

    /// Whether these flags go the way of passed messages: true and false, or one of them null.
    var isPassed: Bool {
      guard case .bool(let isValid) = field(MessageField.isValid.rawValue),
        case .bool(let internalError) = field(MessageField.internalError.rawValue)
      else { return true }
      return isValid && !internalError
    }

    var words: String {
      zip(axes, chosen).map { axis, value in
        switch value {
        case .absent: "\(axis.subject) absent"
        case .null: "\(axis.subject) null"
        case .bool(let truth): "\(axis.subject) \(truth)"
        case .int(let number): "\(axis.subject) \(number)"
        case .text(let text) where text.hasPrefix("something else"): "\(axis.subject) \(text)"
        case .text(let text): "\(axis.subject) \(quoted(text))"
        }
      }.joined(separator: ", ")
    }
  }
}

extension Condition {
  /// Calls `body` with every subject and the values it is compared with there.
  func visit(_ body: (Subject, [Literal]) -> Void) {
    switch self {
    case .equal(let subject, let literal): body(subject, [literal])
    case .among(let subject, let literals): body(subject, literals)
    case .present(let subject): body(subject, [])
    case .all(let conditions), .any(let conditions): for condition in conditions { condition.visit(body) }
    case .not(let condition): condition.visit(body)
    }
  }
}
