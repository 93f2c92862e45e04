/// Upstream's little languages for mapping, read once when the stage is made (docs/upstream/opencrvs-and-websub.md#33-mapping-of-a-birth).

/// Which MOSIP language a `name[].use` means: `eng:eng|english|en,fra:french|fr|fra|fre`, whatever the case.
package struct LanguageMap: Sendable {
  private let codes: [String: String]
  /// The language of what says none, or an unknown one.
  let fallback: String

  init(_ text: String, fallback: String) throws(RuleError) {
    var codes: [String: String] = [:]
    for entry in text.split(separator: ",") {
      let parts = entry.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else { throw RuleError("`\(entry)` is not of the form eng:english|en") }
      for word in parts[1].split(separator: "|") { codes[word.lowercased()] = String(parts[0]) }
    }
    self.codes = codes
    self.fallback = fallback
  }

  /// The language that a `use` really means; nil for none, and for one without a code.
  func code(of use: String) -> String? { codes[use.lowercased()] }

  /// One name for each language: the first that really is in it. Of the others the first stands in for the default language, where no name
  /// is really in that.
  func chosen(_ names: [OpenCRVSPerson.Name]) -> Chosen {
    var chosen = Chosen()
    let strangers = names.filter { code(of: $0.language) == nil }
    let hasDefault = names.contains { code(of: $0.language) == fallback }
    let standIn = hasDefault ? nil : strangers.first
    for name in names {
      guard let language = code(of: name.language) ?? (name == standIn ? fallback : nil) else {
        continue
      }
      if let taken = chosen.names.first(where: { $0.language == language }) {
        if taken.name.value != name.value { chosen.doubled.append(language) }
      } else {
        chosen.names.append((language, name))
      }
    }
    let placed = chosen.names.map(\.name.value)
    chosen.strangers = strangers.count { !placed.contains($0.value) }
    return chosen
  }

  /// What came of choosing.
  struct Chosen {
    /// In the order of the event.
    var names: [(language: String, name: OpenCRVSPerson.Name)] = []
    /// How many names in no language of the mapping found no place.
    var strangers = 0
    /// A language for each further name in it.
    var doubled: [String] = []
  }

  /// The name in the default language, or what stands in for it, else the first.
  package func main(_ names: [OpenCRVSPerson.Name]) -> OpenCRVSPerson.Name? {
    let chosen = chosen(names).names
    return (chosen.first { $0.language == fallback } ?? chosen.first)?.name
  }
}

/// Which parts of `address.line` make which MOSIP address line: `1:1-2|2:2-3|3:3-4`, that is `mosipLine:from-to`,
/// counted from 1, the end left out.
struct AddressLineMap: Sendable {
  private let ranges: [(line: Int, parts: Range<Int>)]

  init(_ text: String) throws(RuleError) {
    var ranges: [(line: Int, parts: Range<Int>)] = []
    for entry in text.filter({ $0 != "\"" }).split(separator: "|") {
      let halves = entry.split(separator: ":", omittingEmptySubsequences: false)
      let ends = halves.count == 2 ? halves[1].split(separator: "-", omittingEmptySubsequences: false) : []
      guard ends.count == 2, let line = Int(halves[0]), let from = Int(ends[0]), let to = Int(ends[1]), line > 0,
        from > 0, to > from
      else { throw RuleError("`\(entry)` is not of the form line:from-to with 1 as the first part") }
      ranges.append((line, from - 1..<to - 1))
    }
    self.ranges = ranges
  }

  /// MOSIP's lines that have any text.
  func lines(of parts: [String]) -> [(name: String, value: String)] {
    ranges.compactMap { line, range in
      let value = parts[min(range.lowerBound, parts.count)..<min(range.upperBound, parts.count)]
        .filter { !FHIR.isBlank($0) }.joined(separator: ", ")
      return value.isEmpty ? nil : ("addressLine\(line)", value)
    }
  }
}

/// Which member of an address makes which MOSIP location: `region:state:id|zone:district:id|city:city:direct`. `id` is
/// looked up.
struct LocationMap: Sendable {
  enum Source: String, Sendable { case city, district, state, postalCode }
  struct Rule: Sendable {
    var field: String
    var source: Source
    var isLookedUp: Bool
  }
  let rules: [Rule]

  init(_ text: String) throws(RuleError) {
    var rules: [Rule] = []
    for entry in text.filter({ $0 != "\"" }).split(separator: "|") {
      let parts = entry.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 3, !parts[0].isEmpty, let source = Source(rawValue: String(parts[1])),
        parts[2] == "id" || parts[2] == "direct"
      else { throw RuleError("`\(entry)` is not of the form field:city|district|state|postalCode:id|direct") }
      rules.append(Rule(field: String(parts[0]), source: source, isLookedUp: parts[2] == "id"))
    }
    self.rules = rules
  }
}

/// A mapping rule that cannot be read.
struct RuleError: Error, Sendable, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
