import Registration

/// All the messages that a set of conditions can tell apart. Every tag and field that a condition names is an axis; its
/// values are those that the conditions treat differently (each value they name, one they do not name, null, absent, of
/// which those that no condition tells apart are one). The two flags are one axis, because together they make the verdict.
///
/// Whoever asks for cells gets one message for each part of the space in which the conditions give one answer, found by
/// splitting along an axis only where an answer depends on it. So the work grows with what the conditions say, and not with
/// the number of combinations of all values.
struct MessageSpace {
  /// A message that stands for all those that are answered alike.
  struct Cell: Routable, Sendable {
    /// The process of the message.
    let process: String
    /// The flags as a verdict; nil when one of them is null.
    let verdict: VerdictKind?
    /// The values that matter, in the order of the conditions.
    let values: [(subject: Condition.Subject, value: FieldValue)]
    /// For each of `values` the others that no condition tells from it, among those that are named and null and absent.
    var alike: [[FieldValue]] = []
    let isValid: FieldValue
    let internalError: FieldValue
    /// Whether a condition tells its flags from others of the same verdict.
    var flagsMatter = true

    func tag(_ name: String) -> String? {
      for (subject, value) in values where subject == .tag(name) {
        if case .text(let text) = value { return text }
      }
      return nil
    }

    func field(_ name: String) -> FieldValue {
      switch name {
      case MessageField.isValid.rawValue: return isValid
      case MessageField.internalError.rawValue: return internalError
      case MessageField.process.rawValue: return .text(process)
      default: break
      }
      for (subject, value) in values where subject == .field(name) { return value }
      return name == MessageField.address.rawValue ? .absent : .null
    }
  }

  fileprivate indirect enum Node {
    case atom(axis: Int, holds: [Bool])
    case all([Node])
    case any([Node])
    case not(Node)
  }

  /// A compiled condition, to be asked in `visit`.
  struct Question {
    fileprivate let node: Node?
  }

  fileprivate struct Axis {
    let subject: Condition.Subject
    /// One for each set of values that no comparison tells apart.
    let values: [FieldValue]
    /// For each of `values` the rest of its set.
    var alike: [[FieldValue]] = []
  }

  fileprivate typealias Flags = (isValid: FieldValue, internalError: FieldValue)

  private let process: String
  private let axes: [Axis]
  /// The place of the flags among the axes, when a condition names one.
  private let flagsAxis: Int?
  private let flags: [Flags]
  private let questions: [Condition: Question]
  /// More values and comparisons than a person writes: nothing is told apart, and `visit` gives up at once.
  let isTooLarge: Bool

  /// Values of one axis times those that its comparisons name.
  private static let limit = 1_000_000
  /// Axes: splitting goes as deep, and a task's stack is small.
  private static let mostAxes = 200
  /// What one step of splitting costs of a budget: it asks every question anew.
  private let cost: Int

  /// The space of messages of `process` with one of `verdicts` (nil: a flag is null) as `conditions` see it.
  init(_ conditions: [Condition], process: String, verdicts: [VerdictKind?]) {
    self.process = process
    var order: [Condition.Subject] = []
    var literals: [Condition.Subject: Set<Condition.Literal>] = [:]
    var atoms: [Condition.Subject: [Condition]] = [:]
    var flagAtoms: [Condition] = []
    var named: [Condition.Subject: Int] = [:]
    var count = 0
    for condition in conditions {
      condition.visitAtoms { subject, values, atom in
        count += 1
        if MessageSpace.isFlag(subject) {
          flagAtoms.append(atom)
        } else {
          if literals[subject] == nil { order.append(subject) }
          literals[subject, default: []].formUnion(values)
          atoms[subject, default: []].append(atom)
          named[subject, default: 0] += max(1, values.count)
        }
      }
    }
    cost = max(1, count / 50)
    isTooLarge =
      order.count > MessageSpace.mostAxes
      || order.contains { (literals[$0]?.count ?? 0) * (named[$0] ?? 0) > MessageSpace.limit }
    guard !isTooLarge else {
      axes = []
      flags = []
      flagsAxis = nil
      questions = [:]
      return
    }
    var axes = order.map { subject in
      let named = (literals[subject] ?? []).sorted { $0.description < $1.description }
      let values = MessageSpace.values(subject, named, process)
      return MessageSpace.axis(subject, values, Array(Set(atoms[subject] ?? [])))
    }
    var flags: [Flags] = []
    var seen: Set<[Bool]> = []
    let distinctAtoms = Array(Set(flagAtoms))
    for pair in verdicts.flatMap(MessageSpace.flags) {
      let answers = distinctAtoms.map { $0.matches(One(values: pair)) }
      if seen.insert(answers).inserted { flags.append(pair) }
    }
    if flagAtoms.isEmpty {
      flagsAxis = nil
    } else {
      flagsAxis = axes.count
      // A stand-in: the values are in `flags`.
      axes.append(Axis(subject: .field(MessageField.isValid.rawValue), values: flags.map(\.isValid)))
    }
    self.axes = axes
    self.flags = flags
    let places = axes.enumerated().reduce(into: [Condition.Subject: Int]()) { $0[$1.element.subject] = $1.offset }
    var compiled: [Condition: Question] = [:]
    for condition in conditions where compiled[condition] == nil {
      compiled[condition] = Question(node: MessageSpace.compile(condition, axes, places, flagsAxis, flags))
    }
    questions = compiled
  }

  /// The condition as `visit` wants it; nil holds always. The condition must be one that the space was made of.
  func question(_ condition: Condition?) -> Question {
    condition.flatMap { questions[$0] } ?? Question(node: nil)
  }

  /// Gives one message for each part of the space in which the first question of each list that holds is the same one, and
  /// which one that is: nil where none holds. Returns false if it gave up because `budget` steps were not enough.
  func visit(
    _ lists: [[Question]], budget: inout Int, _ body: (_ cell: Cell, _ first: [Int?]) -> Void
  ) -> Bool {
    guard !isTooLarge else { return false }
    guard !flags.isEmpty else { return true }
    var chosen = [Int](repeating: -1, count: axes.count)
    return split(lists, &chosen, &budget, body)
  }

  private func split(
    _ lists: [[Question]], _ chosen: inout [Int], _ budget: inout Int, _ body: (Cell, [Int?]) -> Void
  ) -> Bool {
    budget -= cost
    guard budget >= 0 else { return false }
    var first: [Int?] = []
    for list in lists {
      var found: Int?
      for (index, question) in list.enumerated() {
        guard let node = question.node else {
          found = index
          break
        }
        switch answer(node, chosen) {
        case true?: found = index
        case false?: continue
        case nil:
          let axis = open(node, chosen)
          for value in axes[axis].values.indices {
            chosen[axis] = value
            guard split(lists, &chosen, &budget, body) else { return false }
          }
          chosen[axis] = -1
          return true
        }
        break
      }
      first.append(found)
    }
    body(cell(chosen), first)
    return true
  }

  private func cell(_ chosen: [Int]) -> Cell {
    let chosenFlags = flagsAxis.flatMap { chosen[$0] >= 0 ? chosen[$0] : nil }
    let pair = flags[chosenFlags ?? 0]
    var values: [(Condition.Subject, FieldValue)] = []
    var alike: [[FieldValue]] = []
    for (axis, value) in chosen.enumerated() where value >= 0 && axis != flagsAxis {
      values.append((axes[axis].subject, axes[axis].values[value]))
      alike.append(axes[axis].alike[value])
    }
    return Cell(
      process: process, verdict: MessageSpace.verdict(pair), values: values, alike: alike, isValid: pair.isValid,
      internalError: pair.internalError, flagsMatter: chosenFlags != nil)
  }

  /// Whether it holds as far as values were chosen; nil if that is not decided.
  private func answer(_ node: Node, _ chosen: [Int]) -> Bool? {
    switch node {
    case .atom(let axis, let holds): return chosen[axis] < 0 ? nil : holds[chosen[axis]]
    case .not(let node): return answer(node, chosen).map { !$0 }
    case .all(let nodes):
      var isOpen = false
      for node in nodes {
        switch answer(node, chosen) {
        case false?: return false
        case nil: isOpen = true
        case true?: break
        }
      }
      return isOpen ? nil : true
    case .any(let nodes):
      var isOpen = false
      for node in nodes {
        switch answer(node, chosen) {
        case true?: return true
        case nil: isOpen = true
        case false?: break
        }
      }
      return isOpen ? nil : false
    }
  }

  /// An axis that the answer of an undecided node depends on.
  private func open(_ node: Node, _ chosen: [Int]) -> Int {
    switch node {
    case .atom(let axis, _): return axis
    case .not(let node): return open(node, chosen)
    case .all(let nodes), .any(let nodes):
      for node in nodes where answer(node, chosen) == nil { return open(node, chosen) }
      preconditionFailure("a decided node was asked for what it depends on")
    }
  }
}

// MARK: - Axes

extension MessageSpace {
  /// A message with one value, or with two flags.
  fileprivate struct One: Routable {
    var subject: Condition.Subject?
    var value = FieldValue.absent
    var values: Flags?

    init(_ subject: Condition.Subject, _ value: FieldValue) {
      self.subject = subject
      self.value = value
    }

    init(values: Flags) { self.values = values }

    func tag(_ name: String) -> String? {
      if case .text(let text) = value, subject == .tag(name) { text } else { nil }
    }

    func field(_ name: String) -> FieldValue {
      if let values {
        return name == MessageField.isValid.rawValue ? values.isValid : values.internalError
      }
      return subject == .field(name) ? value : .absent
    }
  }

  private static func isFlag(_ subject: Condition.Subject) -> Bool {
    subject == .field(MessageField.isValid.rawValue) || subject == .field(MessageField.internalError.rawValue)
  }

  /// The flags of a verdict; of none, all pairs in which one is null.
  private static func flags(_ verdict: VerdictKind?) -> [Flags] {
    if let verdict { return [(.bool(verdict.isValid), .bool(verdict.internalError))] }
    return [
      (.bool(true), .null), (.null, .null), (.bool(false), .null), (.null, .bool(false)), (.null, .bool(true)),
    ]
  }

  private static func verdict(_ flags: Flags) -> VerdictKind? {
    guard case .bool(let isValid) = flags.isValid, case .bool(let internalError) = flags.internalError else {
      return nil
    }
    return VerdictKind(isValid: isValid, internalError: internalError)
  }

  private static func axis(_ subject: Condition.Subject, _ values: [FieldValue], _ atoms: [Condition]) -> Axis {
    var places: [[Bool]: Int] = [:]
    var first: [FieldValue] = []
    var alike: [[FieldValue]] = []
    for value in values {
      let message = One(subject, value)
      let answers = atoms.map { $0.matches(message) }
      if let place = places[answers] {
        alike[place].append(value)
      } else {
        places[answers] = first.count
        first.append(value)
        alike.append([])
      }
    }
    return Axis(subject: subject, values: first, alike: alike)
  }

  private static func values(
    _ subject: Condition.Subject, _ named: [Condition.Literal], _ process: String
  ) -> [FieldValue] {
    func unnamedText() -> FieldValue {
      // A RID and a process bear no blank.
      var text = subject == .field(MessageField.rid.rawValue) ? "something-else" : "something else"
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

  private static func compile(
    _ condition: Condition, _ axes: [Axis], _ places: [Condition.Subject: Int], _ flagsAxis: Int?, _ flags: [Flags]
  ) -> Node {
    func atom(_ subject: Condition.Subject) -> Node {
      if isFlag(subject) {
        return .atom(axis: flagsAxis ?? 0, holds: flags.map { condition.matches(One(values: $0)) })
      }
      let axis = places[subject] ?? 0
      return .atom(axis: axis, holds: axes[axis].values.map { condition.matches(One(subject, $0)) })
    }
    switch condition {
    case .equal(let subject, _), .among(let subject, _), .present(let subject): return atom(subject)
    case .all(let conditions): return .all(conditions.map { compile($0, axes, places, flagsAxis, flags) })
    case .any(let conditions): return .any(conditions.map { compile($0, axes, places, flagsAxis, flags) })
    case .not(let condition): return .not(compile(condition, axes, places, flagsAxis, flags))
    }
  }
}

extension Condition {
  /// Calls `body` with every comparison, its subject and the values it compares with.
  func visitAtoms(_ body: (Subject, [Literal], Condition) -> Void) {
    switch self {
    case .equal(let subject, let literal): body(subject, [literal], self)
    case .among(let subject, let literals): body(subject, literals, self)
    case .present(let subject): body(subject, [], self)
    case .all(let conditions), .any(let conditions): for condition in conditions { condition.visitAtoms(body) }
    case .not(let condition): condition.visitAtoms(body)
    }
  }
}
