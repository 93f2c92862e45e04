import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct CamelImportTests {
  static let head = """
    <when><jsonpath>$.[?(@['isValid'] == false &amp;&amp; @['internalError'] == true)]</jsonpath><to uri="workflow-cmd://complete-as-failed"/></when>
    <when><jsonpath>$.[?(@['isValid'] == true &amp;&amp; @['internalError'] == true)]</jsonpath><to uri="workflow-cmd://mark-as-reprocess"/></when>
    <when><jsonpath>$.[?(@['isValid'] == false &amp;&amp; @['internalError'] == false)]</jsonpath><to uri="workflow-cmd://complete-as-failed"/></when>

    """

  func route(_ from: String, _ branches: String, id: String = "") -> String {
    "<route id='\(id)'><from uri='eventbus://\(from)'/><choice>\n\(branches)\n</choice></route>\n"
  }

  func otherwise(_ to: String...) -> String {
    "<otherwise>" + to.map { "<to uri='\($0)'/>" }.joined() + "</otherwise>"
  }

  func read(_ routes: String...) -> CamelImport {
    let text = "<routes xmlns='http://camel.apache.org/schema/spring'>\n" + routes.joined() + "</routes>"
    return CamelImport.read(
      [CamelImport.Source(name: "dir/x.xml", bytes: Array(text.utf8))], stages: .registrationProcessor)
  }

  var print: String {
    route("credential-requestor-new-bus-out", Self.head + otherwise("workflow-cmd://complete-as-processed"))
  }

  func codes(_ found: CamelImport) -> [String] { found.problems.map { "\($0.severity.rawValue) \($0.code)" } }

  @Test(arguments: [
    ("<!DOCTYPE routes><routes/>", "doctype 1:1"), ("<routes>\n&x;</routes>", "entity 2:1"), ("<routes>", "xml-syntax 1:1"),
    ("<?xml version='1.0' encoding='latin-1'?><routes/>", "not-utf-8 1:1"),
    (String(repeating: "<routes>", count: 65), "too-deep 1:520"),
  ])
  func `what is no XML is a problem with its code and place`(_ text: String, _ expected: String) {
    let found = CamelImport.read([CamelImport.Source(name: "x.xml", bytes: Array(text.utf8))], stages: .registrationProcessor)
    #expect(found.problems.map { "\($0.code) \($0.position)" }.contains(expected), "\(found.report())")
  }

  @Test func `the three common tests are folded into on`() throws {
    let found = read(
      route("uin-generator-new-bus-out", Self.head + otherwise("eventbus://credential-requestor-bus-in")), print)
    #expect(found.problems.isEmpty, "\(found.report())")
    #expect(
      found.text.hasPrefix(
        """
        # yaml-language-server: $schema=deploy/schema/routes.schema.json

        version: 1
        flows:
          # from x.xml
          NEW:
            on:
              failed: complete-as-failed
              error: complete-as-failed
              retry: mark-as-reprocess
            route:
              - uin-generator
              - print: { passed: complete-as-processed }
            omitted:

        """))
    let file = try #require(found.file)
    let result = found.verify(file, stages: .registrationProcessor)
    #expect(result.isProven)
    #expect(result.reached == 8)
  }

  @Test func `a verdict that no branch tests keeps its way with its conditions`() throws {
    let found = read(
      route(
        "uin-generator-new-bus-out",
        """
        <when><jsonpath>$.[?(@['isValid'] == false)]</jsonpath><to uri="workflow-cmd://complete-as-failed"/></when>
        <when><jsonpath>$.[?(@['tags']['A'] == 'x' &amp;&amp; @['internalError'] == false)]</jsonpath><to uri="workflow-cmd://complete-as-rejected"/></when>
        <when><jsonpath>$.[?(@['tags']['A'] == 'x')]</jsonpath><to uri="eventbus://credential-requestor-bus-in"/></when>
        \(otherwise("workflow-cmd://mark-as-reprocess"))
        """), print)
    #expect(codes(found) == ["warning missing-test"])
    let file = try #require(found.file)
    let generator = try #require(file.flows[0].stages.first)
    #expect(generator.overrides[.retry]?.count == 2)
    #expect(generator.overrides[.failed] == nil)
    #expect(found.verify(file, stages: .registrationProcessor).isProven)
  }

  @Test func `dead branches missing tests and wrong names are reported`() throws {
    let found = read(
      route(
        "uin-generator-new-bus-out",
        Self.head.replacing(
          "'isValid'] == true &amp;&amp; @['internalError'] == true",
          with: "'isValid'] == false &amp;&amp; @['internalError'] == false")
          + otherwise("eventbus://credential-requestor-bus-in"), id: "uin-generater-->finalization other route"), print)
    #expect(
      codes(found).sorted() == [
        "warning dead-branch", "warning missing-test", "warning name-mismatch", "warning name-mismatch",
        "warning name-mismatch",
      ])
    let file = try #require(found.file)
    let result = found.verify(file, stages: .registrationProcessor)
    #expect(result.isProven)
    #expect(result.dead.count == 1)
  }

  @Test func `a pause keeps its properties`() throws {
    let found = read(
      route(
        "uin-generator-new-bus-out",
        Self.head + """
          <otherwise><setProperty propertyName="ADDITIONAL_INFO_PROCESS"><constant>CORRECTION</constant></setProperty>
          <setProperty propertyName="PAUSE_FOR"><constant>86400</constant></setProperty>
          <to uri="workflow-cmd://pause-and-request-additional-info"/><to uri="eventbus://credential-requestor-bus-in"/></otherwise>
          """), print)
    #expect(found.problems.isEmpty, "\(found.report())")
    #expect(found.text.contains("{ process: CORRECTION, pause-for: 1d }"))
    #expect(found.verify(try #require(found.file), stages: .registrationProcessor).isProven)
  }

  @Test func `older forms are imported`() throws {
    let found = read(
      """
      <route id="packet-reciever-->securezone-notification new route"><from uri="eventbus:packet-receiver-new-bus-out"/><choice>
      <when><simple>${bodyAs(String)} contains '"isValid":true'</simple>
      <process ref="tokenGenerationProcessor"/><setHeader headerName="CamelHttpMethod"><constant>POST</constant></setHeader>
      <setBody><simple>${bodyAs(String)}</simple></setBody>
      <to uri="http://host/registrationprocessor/v1/securezone/notification"/></when>
      \(otherwise("workflow-cmd://complete-as-failed"))
      </choice></route>
      """, route("securezone-notification-new-bus-out", Self.head + otherwise("vertx:printing-bus-in")),
      route("printing-new-bus-out", Self.head + otherwise("eventbus://address-check-bus-in")),
      route("address-check-new-bus-out", Self.head + otherwise("workflow-cmd://complete-as-processed")),
      "<route><from uri='eventbus://printing-bus-in'/><to uri='eventbus://credential-requestor-bus-in'/></route>")
    #expect(found.problems.allSatisfy { $0.severity == .warning }, "\(found.report())")
    #expect(
      Set(found.problems.map(\.code)) == ["http-hop", "foreign-stage", "missing-test", "name-mismatch"])
    #expect(found.text.contains("forwards: { printing-bus-in: print }"))
    #expect(found.text.contains("address-check: { topic: address-check }"))
    let file = try #require(found.file)
    #expect(found.verify(file, stages: .registrationProcessor).isProven)
    #expect(file.flow("NEW")?.stages.map(\.name.value).first == "packet-receiver")
  }

  @Test(arguments: [
    ("<loop/>", "unsupported-construct 3"),
    ("<when><xpath>/a</xpath><to uri='eventbus://x-bus-in'/></when>", "unsupported-construct 3"),
    ("<when><jsonpath>$.a</jsonpath><to uri='eventbus://x-bus-in'/></when>", "unsupported-test 3"),
    ("<otherwise><to uri='seda:x'/></otherwise>", "unsupported-construct 3"),
    ("<otherwise><to uri='eventbus://retry'/></otherwise>", "unknown-destination 3"),
    ("<otherwise><to uri='workflow-cmd://complete-as-procesed'/></otherwise>", "unknown-command 3"),
    ("<otherwise><to uri='workflow-cmd://pause-and-request-additional-info'/></otherwise>", "missing-properties 3"),
    (
      "<otherwise><setHeader headerName='a'><constant>b</constant></setHeader><to uri='eventbus://print-bus-in'/></otherwise>",
      "unsupported-construct 3"
    ),
    (
      "<otherwise><setProperty propertyName='x'><constant>b</constant></setProperty><to uri='eventbus://print-bus-in'/></otherwise>",
      "unsupported-construct 3"
    ),
    ("<otherwise><choice/><to uri='eventbus://x-bus-in'/></otherwise>", "unsupported-construct 3"),
    ("<otherwise>text<to uri='workflow-cmd://complete-as-failed'/></otherwise>", "unsupported-text 3"),
    ("<otherwise><to uri='workflow-cmd://complete-as-failed' pattern='x'/></otherwise>", "unsupported-attribute 3"),
    ("<when/>", "missing-test 3"),
  ])
  func `a construct that is not known is named with its line and nothing is made`(_ branch: String, _ expected: String) {
    let found = read(route("uin-generator-new-bus-out", branch))
    #expect(found.file == nil)
    #expect(found.text.isEmpty)
    #expect(found.problems.contains { "\($0.code) \($0.position.line)" == expected }, "\(found.report())")
  }

  @Test func `a message that Camel sends nowhere is an error with an example`() {
    let found = read(route("uin-generator-new-bus-out", Self.head), print)
    let hole = found.problems.first { $0.code == "hole" }
    #expect(hole?.severity == .error)
    #expect(hole?.example?.contains(#""isValid":true,"internalError":false"#) == true)
  }

  @Test func `two routes of one topic are refused`() {
    let found = read(print, print)
    #expect(codes(found) == ["error duplicate-route"])
    #expect(found.file == nil)
  }

  @Test func `verifying finds what an edit broke`() throws {
    let found = read(
      route("uin-generator-new-bus-out", Self.head + otherwise("eventbus://credential-requestor-bus-in")), print)
    let edited = found.text.replacing("retry: mark-as-reprocess", with: "retry: complete-as-failed")
    let file = try #require(
      RouteFile.read(Array(edited.utf8), name: "r", stages: .registrationProcessor).file)
    let result = found.verify(file, stages: .registrationProcessor)
    #expect(!result.isProven)
    #expect(result.differences.count == 2)
    #expect(
      result.differences[0].words.contains("Camel sends it to mark-as-reprocess, the route file to complete-as-failed"))
  }

  @Test func `a whole or broken or hostile file never crashes`() {
    let text = Array("<routes>\(print)</routes>".utf8)
    for cut in stride(from: 0, to: text.count, by: 3) {
      for bytes in [
        Array(text[..<cut]), Array(text[..<cut]) + [0xFF] + text[cut...], Array(text[..<cut]) + text[(cut + 1)...],
      ] {
        let found = CamelImport.read(
          [CamelImport.Source(name: "x", bytes: bytes)], stages: .registrationProcessor)
        #expect(found.file != nil || !found.problems.isEmpty)
      }
    }
  }
}
