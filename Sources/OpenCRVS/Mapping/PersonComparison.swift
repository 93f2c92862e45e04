import JSON
import Registration

/// Whether an event speaks of the person of an identity, by name, date of birth and gender. There is no score and no likeness of sounds:
/// what can be compared must agree, and at least two of the three must be comparable. A value that either side does not have does not count.
package struct PersonComparison: Sendable {
  /// When two names are one person's.
  package enum NameRule: String, Sendable, CaseIterable {
    /// Letter by letter, after the letters' forms are made one.
    case exact
    /// As sets of words: equal, or one within the other with at least two words in common.
    case words
  }

  /// What came of it.
  package enum Outcome: Sendable, Equatable {
    case same
    /// The names of the values that differ; never the values.
    case different([String])
    /// Too little could be compared.
    case unknown
  }

  let rule: NameRule

  /// One by a rule for names.
  package init(rule: NameRule) { self.rule = rule }

  /// Compares the person of an event with an identity object, whose fields may be in several languages: one in which the names agree is enough.
  package func compare(_ person: OpenCRVSPerson, with fields: JSONValue) -> Outcome {
    var compared = 0
    var different: [String] = []
    func judge(_ name: String, _ isSame: Bool?) {
      guard let isSame else { return }
      compared += 1
      if !isSame { different.append(name) }
    }
    judge("dateOfBirth", dates(person.birthDate, fields["dateOfBirth"]?.string))
    judge("gender", genders(person.gender, Self.texts(fields["gender"])))
    judge("fullName", names(person.names.map(\.value), Self.texts(fields["fullName"])))
    if !different.isEmpty { return .different(different) }
    return compared >= 2 ? .same : .unknown
  }

  private func dates(_ event: String?, _ identity: String?) -> Bool? {
    guard let event = event.flatMap(BirthMapping.mosipDate), let identity, !FHIR.isBlank(identity) else { return nil }
    return event == identity.replacing("-", with: "/")
  }

  /// By first letters, of which only those for male and female are compared: other words for it are another language's.
  private func genders(_ event: String?, _ identity: [String]) -> Bool? {
    func letter(_ text: String?) -> Character? {
      text?.lowercased().first.flatMap { $0 == "m" || $0 == "f" ? $0 : nil }
    }
    guard let event = letter(event) else { return nil }
    let known = identity.compactMap(letter)
    return known.isEmpty ? nil : known.contains(event)
  }

  private func names(_ event: [String], _ identity: [String]) -> Bool? {
    let (a, b) = (event.map(NameText.words), identity.map(NameText.words))
    let (known, wanted) = (a.filter { !$0.isEmpty }, b.filter { !$0.isEmpty })
    guard !known.isEmpty, !wanted.isEmpty else { return nil }
    return known.contains { name in wanted.contains { isSame(name, $0) } }
  }

  private func isSame(_ a: [String], _ b: [String]) -> Bool {
    guard rule == .words else { return a == b }
    let (x, y) = (Set(a), Set(b))
    return x == y || (x.intersection(y).count >= 2 && (x.isSubset(of: y) || y.isSubset(of: x)))
  }

  /// The texts of a field: of all languages, or the one text that it is.
  private static func texts(_ field: JSONValue?) -> [String] {
    if let text = field?.string { return [text] }
    return field?.array?.compactMap { $0["value"]?.string } ?? []
  }
}
