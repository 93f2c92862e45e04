import JSON
import System

/// What an event must not say, whatever becomes of it: days that are none, and characters that nobody types. Whoever works on an event
/// asks before anything is made of it; a record that was taken under older rules can still be compared with.
package enum EventCheck {
  /// Nobody has lived so long: an older date is a slip.
  static let oldestYears = 150

  /// - Parameter now: the moment by which a day is in the future: more than a day ahead of UTC's, since days begin up to 14 hours earlier
  ///   elsewhere.
  /// - Throws: OPN-CRVS-006 with the field and the rule, never the value.
  package static func check(_ bundle: OpenCRVSBundle, at now: Instant) throws(MediatorError) {
    let birth = try day(bundle.subject.birthDate, "dateOfBirth", now)
    if bundle.kind == .death {
      let death = try day(bundle.dateOfDeath, "dateOfDeath", now)
      if let birth, let death, death < birth { throw MediatorError(.identity, "dateOfDeath: lies before dateOfBirth") }
    }
    for (field, texts) in texts(of: bundle) where texts.contains(where: EventText.hasControls) {
      throw MediatorError(.identity, "\(field): has a control character, which no text may have but tabs and ends of lines")
    }
  }

  /// Days since 1970-01-01 of a date; nil when there is none.
  private static func day(_ text: String?, _ field: String, _ now: Instant) throws(MediatorError) -> Int? {
    guard let text else { return nil }
    guard let date = EventDay(text) else {
      throw MediatorError(.identity, "\(field): is no day of the calendar, written yyyy-MM-dd")
    }
    let today = now.civil
    guard date.number <= CivilTime.days(year: today.year, month: today.month, day: today.day) + 1 else {
      throw MediatorError(.identity, "\(field): lies in the future, more than a day ahead of UTC")
    }
    guard date.year >= today.year - oldestYears else {
      throw MediatorError(.identity, "\(field): lies more than \(oldestYears) years back")
    }
    return date.number
  }

  /// The texts that may go into an identity, by the fields that they make.
  private static func texts(of bundle: OpenCRVSBundle) -> [(field: String, texts: [String])] {
    let address = bundle.kind == .birth ? bundle.homeAddress : nil
    return [
      ("fullName", bundle.subject.names.flatMap { [$0.value, $0.language] }), ("gender", [bundle.subject.gender ?? ""]),
      ("address", address.map { $0.lines + [$0.city, $0.district, $0.state, $0.postalCode].compactMap { $0 } } ?? []),
      ("name of the informant", bundle.informant?.names.map(\.value) ?? []),
    ]
  }
}

/// A day of the calendar as events write it: `2024-02-29`, or a longer ISO time, whose day counts as it is written.
package struct EventDay: Sendable, Equatable {
  let year: Int
  let month: Int
  let day: Int

  /// Nil for what is not of this form or no day of the calendar.
  package init?(_ text: String) {
    let bytes = Array(text.utf8.prefix(11))
    guard bytes.count == 10 || bytes.count == 11 && bytes[10] == UInt8(ascii: "T") else { return nil }
    for (place, byte) in bytes.prefix(10).enumerated() {
      guard place == 4 || place == 7 ? byte == UInt8(ascii: "-") : (48...57).contains(byte) else { return nil }
    }
    func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 * 10 + Int($1 - 48) } }
    (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
    guard day >= 1, day <= CivilTime.days(inMonth: month, of: year) else { return nil }
  }

  /// Days since 1970-01-01.
  var number: Int { CivilTime.days(year: year, month: month, day: day) }

  /// As MOSIP writes it: `2024/02/29`.
  package var mosip: String { "\(year.digits(4))/\(month.digits(2))/\(day.digits(2))" }
}

/// Texts of an event as an identity may have them.
enum EventText {
  /// Tab, the ends of lines and the parts of pages: white space that somebody may have typed or pasted.
  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    (9...13).contains(scalar.value) || [0x85, 0x2028, 0x2029].contains(scalar.value)
  }

  /// Whether a text has a control character that is no white space.
  static func hasControls(_ text: String) -> Bool {
    text.unicodeScalars.contains { $0.properties.generalCategory == .control && !isSpace($0) }
  }

  /// A text in one line: what parts lines is a blank, and no other control character is in it.
  static func oneLine(_ text: String) -> String {
    let isPlain = text.unicodeScalars.allSatisfy { !isSpace($0) && $0.properties.generalCategory != .control }
    if isPlain { return text }
    return text.unicodeScalars.split { isSpace($0) || $0.properties.generalCategory == .control }
      .map { String(String.UnicodeScalarView($0)) }.joined(separator: " ")
  }
}
