import JSON
import Routing
import Testing

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct DecisionLinesTests {
  static let file = """
    version: 1
    flows:
      OPENCRVS_NEW:
        on: { failed: [complete-as-failed, anonymous-profile], error: complete-as-failed, retry: mark-as-reprocess }
        route:
          - packet-classifier:
              next:
                - { when: { tags.AGE_GROUP: INFANT }, to: introducer-validator }
                - to: [anonymous-profile, print]
          - introducer-validator
          - print: { passed: complete-as-processed }
    """

  func lines() throws -> DecisionLines {
    let reading = RouteFile.read(Array(Self.file.utf8), name: "/somewhere/routes.yaml", stages: .registrationProcessor)
    return DecisionLines(try #require(reading.file))
  }

  func question(
    _ after: String, valid: String = "true", error: String = "false", tags: String = "{}",
    process: String = "OPENCRVS_NEW"
  ) -> String {
    #"{"after":"\#(after)","message":{"reg_type":"\#(process)","rid":"1","isValid":\#(valid),"internalError":\#(error),"tags":\#(tags)}}"#
  }

  func answers(_ text: String, chunk: Int = 1 << 20) throws -> (lines: [String], faults: Int) {
    var lines = try lines()
    var out: [UInt8] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: chunk) {
      bytes[start..<min(start + chunk, bytes.count)].withUnsafeBytes { lines.take($0, into: &out) }
    }
    lines.finish(into: &out)
    return (String(decoding: out, as: UTF8.self).split(separator: "\n").map(String.init), lines.faults)
  }

  @Test func `an answer has destinations topics commands and the line of its branch`() throws {
    let text = [
      question("packet-classifier", tags: #"{"AGE_GROUP":"INFANT"}"#), question("packet-classifier"),
      question("introducer-validator"), question("credential-requestor"), question("print", valid: "false"),
      question("print", error: "true"), question("print", error: "null"),
    ].joined(separator: "\n")
    let (lines, faults) = try answers(text)
    #expect(faults == 0)
    #expect(
      lines == [
        #"{"to":["introducer-validator"],"topics":["introducer-validator-bus-in"],"commands":[],"branch":"routes.yaml:8"}"#,
        #"{"to":["anonymous-profile","print"],"topics":["credential-requestor-bus-in"],"commands":["anonymous-profile"],"branch":"routes.yaml:9"}"#,
        #"{"to":["print"],"topics":["credential-requestor-bus-in"],"commands":[],"branch":"routes.yaml:10"}"#,
        #"{"to":["complete-as-processed"],"topics":[],"commands":["complete-as-processed"],"branch":"routes.yaml:11"}"#,
        #"{"to":["complete-as-failed","anonymous-profile"],"topics":[],"commands":["complete-as-failed","anonymous-profile"],"branch":"routes.yaml:4"}"#,
        #"{"to":["mark-as-reprocess"],"topics":[],"commands":["mark-as-reprocess"],"branch":"routes.yaml:4"}"#,
        #"{"to":["complete-as-processed"],"topics":[],"commands":["complete-as-processed"],"branch":"routes.yaml:11"}"#,
      ])
  }

  @Test(arguments: [
    ("", "not-json"), ("{", "not-json"), ("[]", "not-json"), ("{} x", "not-json"), ("\u{0}", "not-json"),
    (#"{"message":{}}"#, "no-stage"), (#"{"after":5,"message":{}}"#, "no-stage"), (#"{"after":"print"}"#, "no-message"),
    (#"{"after":"print","message":[]}"#, "bad-message"),
    (#"{"after":"print","message":{"reg_type":"X"}}"#, "bad-message"),
    (#"{"after":"print","after":"print","message":{}}"#, "duplicate-member"),
    (#"{"after":"nowhere","message":{"reg_type":"OPENCRVS_NEW","rid":"1"}}"#, "unknown-stage"),
    (#"{"after":"print","message":{"reg_type":"NEW","rid":"1"}}"#, "unknown-flow"),
    (#"{"after":"verification","message":{"reg_type":"OPENCRVS_NEW","rid":"1"}}"#, "stage-not-in-flow"),
  ])
  func `a bad line is reported by its number and the rest goes on`(_ line: String, _ code: String) throws {
    let (lines, faults) = try answers([question("print"), line, question("print"), ""].joined(separator: "\n"))
    #expect(faults == 1)
    #expect(lines.count == 3)
    let fault = try JSONValue.parse(lines[1])
    #expect(fault["line"]?.int == 2)
    #expect(fault["code"]?.string == code)
    #expect(fault["error"]?.string?.isEmpty == false)
    #expect(lines[0] == lines[2])
  }

  @Test func `a line too long is reported without being kept`() throws {
    let long = question("print", tags: #"{"A":"\#(String(repeating: "x", count: DecisionLines.maximumLineBytes))"}"#)
    for chunk in [1 << 30, 65536] {
      let (lines, faults) = try answers(
        [question("print"), long, question("print")].joined(separator: "\n"), chunk: chunk)
      #expect(faults == 1)
      #expect(lines.count == 3)
      #expect(try JSONValue.parse(lines[1])["code"]?.string == "line-too-long")
      #expect(lines[0] == lines[2])
    }
  }

  @Test func `topics of stages that are not installed are those their owners read`() throws {
    let reading = RouteFile.read(
      Array(
        """
        version: 1
        foreign-stages: { address-check: { topic: addr } }
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        flows:
          NEW:
            route: [packet-validator, cmd-validator, abis-middleware, address-check, { print: { passed: complete-as-processed } }]
        """.utf8), name: "routes.yaml", stages: .registrationProcessor)
    var lines = DecisionLines(try #require(reading.file))
    var out: [UInt8] = []
    for after in ["packet-validator", "c-m-d-validator", "abis-middleware", "addr"] {
      Array((question(after, process: "NEW") + "\n").utf8).withUnsafeBytes { lines.take($0, into: &out) }
    }
    let topics = try String(decoding: out, as: UTF8.self).split(separator: "\n").map {
      try JSONValue.parse(Array($0.utf8))["topics"]?[0]?.string
    }
    #expect(
      topics == ["c-m-d-validator-bus-in", "abis-middle-ware-bus-in", "addr-bus-in", "credential-requestor-bus-in"])
  }

  @Test(arguments: [1, 2, 7, 100]) func `where a chunk ends does not matter`(_ chunk: Int) throws {
    let text = (0..<20).map { $0 == 7 ? "bad" : question("print") }.joined(separator: "\r\n") + "\n"
    let whole = try answers(text)
    let parts = try answers(text, chunk: chunk)
    #expect(whole.lines == parts.lines)
    #expect(parts.faults == 1)
    #expect(parts.lines.count == 20)
  }

  @Test func `an error says nothing of what the message holds`() throws {
    let secret = "5213467890"
    let line = #"{"after":"print","message":{"reg_type":"OPENCRVS_NEW","rid":"1","tags":{"UIN":\#(secret)}}}"#
    let (lines, faults) = try answers(line)
    #expect(faults == 1)
    #expect(!lines[0].contains(secret))
  }
}
