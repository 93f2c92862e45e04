import JSON
import System
import TestEvents
import Testing

@testable import OpenCRVS

@Suite("What an event must not say", .timeLimit(.minutes(10)))
struct EventCheckTests {
  /// 23:30 in UTC of a leap day: in half of the world it is tomorrow.
  static let now = Instant(iso: "2024-02-29T23:30:00.000Z")!

  func fault(_ resources: [JSONValue], topic: String = "BIRTH_REGISTERED") throws -> String? {
    let bundle = try Births.read(resources, topic: topic)
    do throws(MediatorError) {
      try EventCheck.check(bundle, at: Self.now)
      return nil
    } catch {
      #expect(error.code == .identity)
      return error.message
    }
  }

  func born(_ date: String) throws -> String? {
    var child = Births.child()
    child["birthDate"] = .string(date)
    return try fault([Births.task(), child, Births.mother()])
  }

  @Test(arguments: [
    "2024-02-29", "2023-02-28", "2024-03-01", "2024-02-29T23:59:59+14:00", "1874-01-01", "2000-02-29", "",
  ])
  func `a day of the calendar passes, and so does tomorrow, which begins earlier elsewhere`(_ date: String) throws {
    #expect(try born(date) == nil)
  }

  @Test(arguments: [
    ("2024-02-30", "is no day of the calendar, written yyyy-MM-dd"), ("2023-02-29", "is no day"), ("2024-04-31", "is no day"),
    ("1900-02-29", "is no day"), ("2024-13-01", "is no day"), ("2024-00-10", "is no day"), ("2024-01-00", "is no day"),
    ("2024/08/30", "is no day"), ("30-08-2024", "is no day"), ("2024-8-3", "is no day"), ("2024", "is no day"),
    ("2024-02-2９", "is no day"), ("2024-02-29 10:00", "is no day"),
    ("2024-03-02", "lies in the future, more than a day ahead of UTC"), ("2124-02-29", "lies in the future"),
    ("1873-12-31", "lies more than 150 years back"), ("0024-02-29", "lies more than 150 years back"), ("0000-01-01", "lies more"),
  ])
  func `a date of birth that is none is named with its rule, never with its value`(_ date: String, _ rule: String) throws {
    let message = try #require(try born(date))
    #expect(message.hasPrefix("dateOfBirth: " + rule), "\(message)")
    #expect(!message.contains(date))
  }

  @Test(
    arguments: [
      ("2024-02-28", nil), ("2024-02-28T10:00:00Z", nil), ("in spring", "dateOfDeath: is no day"),
      ("2024-02-31", "dateOfDeath: is no day"), ("2024-03-05", "dateOfDeath: lies in the future"),
      ("1700-01-01", "dateOfDeath: lies more than 150 years back"), ("1949-12-31", "dateOfDeath: lies before dateOfBirth"),
      ("", nil),
    ] as [(String, String?)])
  func `a date of death has the same rules, and lies behind the birth`(_ date: String, _ rule: String?) throws {
    var deceased = Events.deceased()
    deceased["deceasedDateTime"] = .string(date)
    let message = try fault([Births.task("DEATH", number: "2026DTEST01"), deceased], topic: "DEATH_REGISTERED")
    #expect(message?.hasPrefix(rule ?? "-") ?? (rule == nil), "\(message ?? "none")")
  }

  @Test(arguments: [0, 1, 7, 8, 0xE, 0x1B, 0x7F, 0x80, 0x9F] as [UInt32])
  func `a control character in any text of an identity is named by its field`(_ code: UInt32) throws {
    let bad = "a" + String(Unicode.Scalar(code)!) + "b"
    var (named, gendered) = (Births.child(), Births.child())
    named["name"] = [["use": "en", "given": ["Amina"], "family": .string(bad)]]
    gendered["gender"] = .string(bad)
    let rule = ": has a control character, which no text may have but tabs and ends of lines"
    #expect(try fault([Births.task(), named]) == "fullName" + rule)
    #expect(try fault([Births.task(), gendered]) == "gender" + rule)
    #expect(try fault([Births.task(), Births.child(), Births.mother(line: ["1", bad])]) == "address" + rule)
    var deceased = Events.deceased()
    deceased["name"] = named["name"]
    deceased["deceasedDateTime"] = "2024-02-27"
    #expect(try fault([Births.task("DEATH"), deceased], topic: "DEATH_REGISTERED") == "fullName" + rule)
    for space in ["\t", "\n", "\r\n", "\u{85}", "\u{2028}", "\u{200F}"] {
      #expect(try fault([Births.task(), Births.child(given: "A" + space + "B")]) == nil)
    }
  }
}
