import Registration
import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct CamelStepTests {
  static let failed = "<jsonpath>$.[?(@['isValid'] == false)]</jsonpath>"
  static let retried = "<jsonpath>$.[?(@['isValid'] == true &amp;&amp; @['internalError'] == true)]</jsonpath>"
  static let infant = "<jsonpath>$.[?(@['tags']['AGE_GROUP'] == 'INFANT')]</jsonpath>"

  static func when(_ test: String, _ to: String..., name: String = "when") -> String {
    "<\(name)>\(test)\(to.map { "<to uri='\($0)'/>" }.joined())</\(name)>"
  }
  static func otherwise(_ to: String) -> String { "<otherwise><to uri='\(to)'/></otherwise>" }
  static let fails = when(failed, "workflow-cmd://complete-as-failed")
  static let retries = when(retried, "workflow-cmd://mark-as-reprocess")
  static let ends = otherwise("workflow-cmd://complete-as-processed")

  static func route(_ from: String, _ steps: String) -> String {
    "<route><from uri='eventbus://\(from)'/>\n\(steps)\n</route>"
  }

  static func file(_ name: String, _ routes: String...) -> CamelImport.Source {
    CamelImport.Source(name: name, bytes: Array("<routes>\n\(routes.joined())</routes>".utf8))
  }

  static func last(_ process: String) -> String {
    route("uin-generator-\(process)-bus-out", "<choice>\(fails)\(retries)\(ends)</choice>")
  }

  func read(_ sources: CamelImport.Source..., options: CamelImport.Options = CamelImport.Options()) -> CamelImport {
    CamelImport.read(sources, stages: .registrationProcessor, options: options)
  }

  func decide(_ found: CamelImport, _ isValid: Bool, _ internalError: Bool, _ tags: [String: String] = [:]) throws -> [String] {
    let fields: [String: FieldValue] = ["isValid": .bool(isValid), "internalError": .bool(internalError)]
    let verdict = VerdictKind.allCases.first { $0.isValid == isValid && $0.internalError == internalError }
    return try #require(found.file).decide(
      process: "LOST", after: "abis-middleware", verdict: verdict, message: TestMessage(tags: tags, fields: fields)
    ).destinations.map(\.description)
  }

  @Test func `a when outside of a choice is a filter behind which the rest goes on`() throws {
    let found = read(
      Self.file(
        "lost.xml",
        Self.route(
          "abis-middle-ware-lost-bus-out", Self.fails + "\n" + Self.retries + Self.otherwise("eventbus://uin-generator-bus-in")),
        Self.last("lost")))
    #expect(
      found.problems.map { "\($0.severity.rawValue) \($0.code) \($0.position.line)" }.sorted() == [
        "warning message-after-command 4", "warning outside-choice 3",
      ], "\(found.report())")
    #expect(found.report().contains("<when> stands outside <choice>"))
    #expect(try decide(found, true, false) == ["uin-generator"])
    #expect(try decide(found, false, false) == ["complete-as-failed", "uin-generator"])
    #expect(try decide(found, false, true) == ["complete-as-failed", "uin-generator"])
    #expect(try decide(found, true, true) == ["mark-as-reprocess", "uin-generator"])
    let result = found.verify(try #require(found.file), stages: .registrationProcessor)
    #expect(result.isProven, "\(result.differences.map(\.words)) \(result.unreached)")
  }

  @Test func `behind a command the tests see its message, which has no verdict and no tags`() throws {
    let found = read(
      Self.file(
        "lost.xml",
        Self.route(
          "abis-middle-ware-lost-bus-out",
          Self.fails + Self.when(Self.failed, "workflow-cmd://complete-as-rejected", name: "filter") + Self.retries
            + Self.when(Self.infant, "eventbus://verification-bus-in")
            + Self.when("<jsonpath>$.[?(@['source'] == 'X')]</jsonpath>", "workflow-cmd://anonymous-profile")
            + "<to uri='eventbus://uin-generator-bus-in'/>"),
        Self.route("verification-lost-bus-out", "<choice>\(Self.fails)\(Self.retries)\(Self.ends)</choice>"), Self.last("lost")))
    #expect(found.problems.allSatisfy { $0.severity == .warning }, "\(found.report())")
    #expect(try decide(found, false, false, ["AGE_GROUP": "INFANT"]) == ["complete-as-failed", "uin-generator"])
    #expect(try decide(found, true, false, ["AGE_GROUP": "INFANT"]) == ["verification", "uin-generator"])
    let result = found.verify(try #require(found.file), stages: .registrationProcessor)
    #expect(result.isProven, "\(result.differences.map(\.words)) \(result.unreached)")
  }

  @Test func `steps before and behind a choice are taken in order`() throws {
    let found = read(
      Self.file(
        "lost.xml",
        Self.route(
          "abis-middle-ware-lost-bus-out",
          "<choice>\(Self.when(Self.infant, "eventbus://verification-bus-in"))</choice>"
            + "<choice>\(Self.fails)\(Self.retries)\(Self.otherwise("eventbus://uin-generator-bus-in"))</choice>"
            + "<to uri='workflow-cmd://anonymous-profile'/>"),
        Self.route("verification-lost-bus-out", "<choice>\(Self.fails)\(Self.retries)\(Self.ends)</choice>"), Self.last("lost")))
    #expect(try decide(found, true, false) == ["uin-generator", "anonymous-profile"])
    #expect(
      try decide(found, false, false, ["AGE_GROUP": "INFANT"]) == ["verification", "complete-as-failed", "anonymous-profile"])
    #expect(found.verify(try #require(found.file), stages: .registrationProcessor).isProven)
  }

  @Test func `filters that leave a message without a way are a hole, and too many of them are refused`() {
    let hole = read(Self.file("x.xml", Self.route("uin-generator-lost-bus-out", Self.fails + Self.retries)))
    #expect(hole.problems.contains { $0.code == "hole" && $0.severity == .error })
    let many = String(repeating: Self.when(Self.infant, "eventbus://verification-bus-in"), count: 40)
    let found = read(Self.file("x.xml", Self.route("uin-generator-lost-bus-out", many + Self.ends)))
    #expect(found.file == nil && found.problems.contains { $0.code == "unsupported-construct" })
  }

  @Test func `files that cannot be imported are left out when that is asked, and named`() throws {
    var options = CamelImport.Options()
    options.skipsBad = true
    let bad = Self.file("bad.xml", Self.route("uin-generator-lost-bus-out", "<choice><loop/></choice>"))
    let broken = CamelImport.Source(name: "broken.xml", bytes: Array("<routes>".utf8))
    let good = Self.file("good.xml", Self.last("new"))
    let again = Self.file("again.xml", Self.last("new"))
    #expect(read(bad, good).file == nil)
    let found = read(bad, good, broken, again, options: options)
    #expect(found.leftOut == ["bad.xml", "broken.xml", "again.xml"])
    #expect(found.file?.flows.map(\.process.value) == ["NEW"])
    #expect(Set(found.problems.filter { $0.severity == .error }.map(\.file)) == ["bad.xml", "broken.xml", "again.xml"])
    #expect(found.verify(try #require(found.file), stages: .registrationProcessor).isProven)
    #expect(read(bad, options: options).file == nil)
    // What Camel leaves open would keep the whole route file from being used.
    let open = Self.file("open.xml", Self.route("finalization-lost-bus-out", "<to uri='eventbus://verification-bus-in'/>"))
    #expect(read(open, good).file?.flows.count == 2 && read(open, good).leftOut.isEmpty)
    #expect(read(open, good, options: options).leftOut == ["open.xml"])
    // Of two files with one route that one is left out which leads nowhere, whichever comes first.
    let part = Self.file("part.xml", Self.route("uin-generator-new-bus-out", "<to uri='eventbus://verification-bus-in'/>"))
    #expect(read(part, good, options: options).leftOut == ["part.xml"])
  }

  @Test func `printing of older releases is a stage of others with its own topic, unless it is renamed`() throws {
    let source = Self.file(
      "old.xml",
      Self.route(
        "finalization-new-bus-out", "<choice>\(Self.fails)\(Self.retries)\(Self.otherwise("eventbus://printing-bus-in"))</choice>"),
      Self.route("printing-new-bus-out", "<choice>\(Self.fails)\(Self.retries)\(Self.ends)</choice>"))
    let found = read(source)
    #expect(found.text.contains("foreign-stages: { printing: { topic: printing } }"), "\(found.text)")
    #expect(found.text.contains("- printing:\n          runs: elsewhere\n"), "\(found.text)")
    #expect(found.problems.map(\.code) == ["foreign-stage"])
    #expect(found.report().contains("--rename printing=print"))
    #expect(found.verify(try #require(found.file), stages: .registrationProcessor).isProven)
    var options = CamelImport.Options()
    options.renamed = ["printing": "print"]
    let ours = read(source, options: options)
    #expect(ours.problems.isEmpty, "\(ours.report())")
    #expect(ours.text.contains("- print:\n          next:") && !ours.text.contains("foreign-stages"))
    #expect(ours.verify(try #require(ours.file), stages: .registrationProcessor).isProven)
  }

  @Test func `stages that are not run here are said to run elsewhere when that is asked`() throws {
    var options = CamelImport.Options()
    options.elsewhere = true
    let source = Self.file(
      "x.xml", Self.route("finalization-new-bus-out", "<to uri='eventbus://uin-generator-bus-in'/>"), Self.last("new"))
    let stages = StageDirectory.registrationProcessor.running(["finalization"])
    let found = CamelImport.read([source], stages: stages, options: options)
    let flow = try #require(found.file?.flow("NEW"))
    #expect(flow.stages.map { "\($0.name.value) \($0.runsElsewhere)" } == ["finalization false", "uin-generator true"])
    #expect(CamelImport.read([source], stages: stages).file?.flow("NEW")?.stages.contains(where: \.runsElsewhere) == false)
  }
}
