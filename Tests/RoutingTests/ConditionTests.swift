import Registration
import System
import Testing
import YAML

@testable import Routing

/// The condition of a text in the route file's syntax.
func condition(_ text: String) throws -> Condition {
  let document = YAMLDocument.parse(Array(text.utf8), name: "c")
  let problems = Problems(file: "c", document.problems)
  let read = ConditionReader(problems: problems).condition(try #require(document.root))
  #expect(problems.all.isEmpty)
  return try #require(read)
}

@Suite(.timeLimit(.minutes(10))) struct ConditionTests {
  /// Condition; whether it holds for tag A = x, A = y, A = "", no tag A.
  @Test(arguments: [
    ("{ tags.A: x }", [true, false, false, false]),
    ("{ tags.A: { not: x } }", [false, true, true, true]),
    ("{ tags.A: [x, y] }", [true, true, false, false]),
    ("{ tags.A: { not: [x, y] } }", [false, false, true, true]),
    ("{ tags.A: { present: true } }", [true, true, true, false]),
    ("{ tags.A: { present: false } }", [false, false, false, true]),
    ("{ tags.A: \"\" }", [false, false, true, false]),
    ("{ tags.A: { not: \"\" } }", [true, true, false, true]),
    ("{ tags.A: { not: \"\", present: true } }", [true, true, false, false]),
    ("{ not: { tags.A: x } }", [false, true, true, true]),
    ("{ any: [{ tags.A: x }, { tags.A: \"\" }] }", [true, false, true, false]),
    ("{ all: [{ tags.A: [x, y] }, { tags.A: { not: x } }] }", [false, true, false, false]),
    ("{ tags.A: x, tags.B: b }", [false, false, false, false]),
    ("{ tags.A: x, tags.B: { not: b } }", [true, false, false, false]),
    ("{ tags.A: x, any: [{ tags.A: y }, { not: { tags.B: { present: true } } }] }", [true, false, false, false]),
    ("{ not: { any: [{ tags.A: x }, { tags.A: y }] } }", [false, false, true, true]),
  ])
  func `tags have upstreams meaning also when absent`(_ text: String, _ expected: [Bool]) throws {
    let condition = try condition(text)
    let messages = ["x", "y", "", nil].map { TestMessage(tags: $0.map { ["A": $0] } ?? [:]) }
    #expect(messages.map(condition.matches) == expected)
    #expect(messages.map { condition.explain($0).holds } == expected)
  }

  /// Condition; whether it holds for a field that is true, false, null, absent.
  @Test(arguments: [
    ("{ isValid: true }", [true, false, false, false]), ("{ isValid: false }", [false, true, false, false]),
    ("{ isValid: null }", [false, false, true, false]), ("{ isValid: { not: true } }", [false, true, true, true]),
    ("{ isValid: [true, null] }", [true, false, true, false]),
    ("{ isValid: { present: true } }", [true, true, true, false]),
  ])
  func `a field that is null is present and equal only to null`(_ text: String, _ expected: [Bool]) throws {
    let condition = try condition(text)
    let values: [FieldValue] = [.bool(true), .bool(false), .null, .absent]
    #expect(values.map { condition.matches(TestMessage(fields: ["isValid": $0])) } == expected)
  }

  @Test func `values of different types are never equal`() throws {
    #expect(try !condition("{ iteration: 1 }").matches(TestMessage(fields: ["iteration": .text("1")])))
    #expect(try condition("{ iteration: 1 }").matches(TestMessage(fields: ["iteration": .int(1)])))
    #expect(try !condition("{ source: \"true\" }").matches(TestMessage(fields: ["source": .bool(true)])))
    let address = try condition("{ messageBusAddress.address: verification-bus-in }")
    #expect(address.matches(TestMessage(fields: ["messageBusAddress.address": .text("verification-bus-in")])))
  }

  @Test func `the text of a condition is one line whatever is in it`() throws {
    let texts = [
      ("{ tags.A: [x, \"y\\\"\\n\"] }", #"tags.A in ["x", "y\"\u{a}"]"#),
      ("{ tags.A: { not: x, present: true } }", #"tags.A != "x" and tags.A is present"#),
      (
        "{ any: [{ tags.A: x, tags.B: y }, { source: null }] }", #"(tags.A == "x" and tags.B == "y") or source == null"#
      ),
      ("{ not: { tags.A: x, tags.B: y } }", #"not (tags.A == "x" and tags.B == "y")"#),
      ("{ \"tags.a b\": x }", #""tags.a b" == "x""#),
    ]
    for (yaml, text) in texts { #expect(try condition(yaml).description == text) }
  }

  @Test func `the forms that upstreams files use can be said`() throws {
    let quality = try condition(
      """
      any:
        - { tags.Biometric_Quality-Iris: [level-1, level-2, level-3] }
        - { tags.Biometric_Quality-Finger: [level-1, level-2, level-3] }
      """)
    #expect(quality.matches(TestMessage(tags: ["Biometric_Quality-Finger": "level-2"])))
    #expect(!quality.matches(TestMessage(tags: ["Biometric_Quality-Iris": "level-4"])))
    let officer = try condition(
      #"{ tags.META_INFO-OPERATIONS_DATA-officerId: { not: ["", "--TAG_VALUE_NOT_AVAILABLE--"] } }"#)
    #expect(officer.matches(TestMessage()), "an absent tag is not equal to anything, as upstream has it")
    #expect(!officer.matches(TestMessage(tags: ["META_INFO-OPERATIONS_DATA-officerId": ""])))
    let exception = try condition(
      #"{ tags.EXCEPTION_BIOMETRICS: { not: "LL,LR" }, isValid: true, internalError: false }"#)
    #expect(exception.matches(TestMessage(fields: ["isValid": .bool(true), "internalError": .bool(false)])))
    #expect(!exception.matches(TestMessage(fields: ["isValid": .bool(true), "internalError": .null])))
  }

  @Test func `an explanation shows no personal value`() throws {
    let condition = try condition("{ tags.ID_OBJECT-gender: Female, tags.AGE_GROUP: INFANT }")
    let reason = condition.explain(TestMessage(tags: ["ID_OBJECT-gender": "Male", "AGE_GROUP": "ADULT"])).reason
    #expect(reason == "tags.ID_OBJECT-gender is something else (not shown) and tags.AGE_GROUP is 'ADULT'")
  }
}

@Suite(.timeLimit(.minutes(10))) struct VerdictTests {
  @Test(arguments: VerdictKind.allCases)
  func `a verdict and its flags are the same`(_ verdict: VerdictKind) {
    #expect(VerdictKind(isValid: verdict.isValid, internalError: verdict.internalError) == verdict)
  }

  @Test func `the flags are those of the wire`() {
    #expect(VerdictKind(isValid: true, internalError: false) == .passed)
    #expect(VerdictKind(isValid: false, internalError: false) == .failed)
    #expect(VerdictKind(isValid: false, internalError: true) == .error)
    #expect(VerdictKind(isValid: true, internalError: true) == .retry)
  }

  @Test func `a null flag is no verdict`() {
    for flag in [true, false, nil] {
      #expect(VerdictKind(isValid: flag, internalError: nil) == nil)
      #expect(VerdictKind(isValid: nil, internalError: flag) == nil)
    }
  }
}
