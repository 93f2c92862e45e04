import System
import Testing

@testable import YAML

func parse(_ text: String) -> YAMLDocument { YAMLDocument.parse(Array(text.utf8), name: "f.yaml") }

/// `code line:column` of every problem.
func faults(_ document: YAMLDocument) -> [String] { document.problems.map { "\($0.code) \($0.position)" } }

@Suite(.timeLimit(.minutes(10))) struct YAMLDocumentTests {
  /// Time in proportion to the input, whether a key stands twice included.
  @Test(.timeLimit(.minutes(1))) func `a hundred thousand keys are read in no time and one too many is found`() {
    var limits = YAMLLimits()
    limits.bytes = 16 << 20
    limits.nodes = 1_000_000
    for (start, end, separator) in [("", "", "\n"), ("{", "}", ", ")] {
      let keys = (0..<100_000).map { "k\($0): \($0)" }.joined(separator: separator)
      let document = YAMLDocument.parse(Array("\(start)\(keys)\(separator)k5: x\(end)".utf8), name: "f.yaml", limits: limits)
      #expect(document.problems.map(\.code) == ["duplicate-key"])
      #expect(document.root?.mapping?.count == 100_000)
      guard let root = document.root else { continue }
      let problems = Problems(file: "f.yaml")
      let reader = KeyedReader(root, of: "the file", problems)
      _ = reader?.optional("k99999", Int.self)
      reader?.finish()
      #expect(problems.all.count == 99_999)
    }
  }

  @Test func `every node knows its line and column`() throws {
    let root = try #require(parse("a: 1\nlist:\n  - x\n  - {b: \"ü y\", c: z}\n").root)
    #expect(root.start == Position(line: 1, column: 1))
    let list = try #require(root["list"]?.sequence)
    #expect(list[0].start == Position(line: 3, column: 5))
    let flow = try #require(list[1].mapping)
    #expect(flow[0].keyNode.start == Position(line: 4, column: 6))
    #expect(flow[0].value.start == Position(line: 4, column: 9))
    #expect(flow[0].value.end == Position(line: 4, column: 14))
    #expect(flow[1].keyNode.start == Position(line: 4, column: 16), "columns count characters, not bytes")
  }

  @Test func `pairs keep the order of the file`() {
    #expect(parse("z: 1\na: 2\nm: 3").root?.mapping?.map(\.key) == ["z", "a", "m"])
  }

  @Test func `a duplicate key is reported with both places and the first is kept`() {
    let document = parse("a: 1\nb: 2\na: 3\n")
    #expect(faults(document) == ["duplicate-key 3:1"])
    #expect(document.problems[0].message == "the key 'a' is already at line 1, column 1")
    #expect(document.root?["a"]?.int == 1)
  }

  @Test func `every duplicate key is reported in one run`() {
    #expect(faults(parse("a: {x: 1, x: 2}\nb: 1\nb: 2\n")) == ["duplicate-key 1:11", "duplicate-key 3:1"])
  }

  @Test func `a byte order mark is accepted and moves no column`() {
    let document = YAMLDocument.parse([0xEF, 0xBB, 0xBF] + Array("a: 1".utf8), name: "f")
    #expect(document.problems.isEmpty)
    #expect(document.root?.mapping?[0].value.start == Position(line: 1, column: 4))
  }

  @Test func `windows line ends are accepted`() {
    let document = parse("a: 1\r\nb:\r\n  - x\r\n")
    #expect(document.problems.isEmpty)
    #expect(document.root?["b"]?.sequence?[0].start == Position(line: 3, column: 5))
    #expect(document.source.line(3) == "  - x")
  }

  @Test func `an empty file is null`() {
    #expect(parse("").root?.isNull == true)
    #expect(parse("# nothing\n").root?.isNull == true)
    #expect(parse("").problems.isEmpty)
  }

  @Test func `a tab that indents is named`() {
    let document = parse("a:\n\tb: 1\n")
    #expect(faults(document) == ["tab 2:1"])
    #expect(document.root == nil)
  }

  @Test func `bytes that are not UTF8 are refused at their place`() {
    #expect(faults(YAMLDocument.parse(Array("a: 1\nü: ".utf8) + [0xC3, 0x28], name: "f")) == ["not-utf-8 2:4"])
    #expect(faults(YAMLDocument.parse([0xFF, 0xFE, 0x61, 0x00], name: "f")) == ["not-utf-8 1:1"])
    #expect(faults(YAMLDocument.parse([0xED, 0xA0, 0x80], name: "f")) == ["not-utf-8 1:1"])
  }

  @Test func `control characters are refused at their place`() {
    #expect(faults(parse("a: 1\nb: \u{0}\n")) == ["control-character 2:4"])
  }

  @Test func `a second document is refused`() {
    #expect(faults(parse("a: 1\n---\nb: 2\n")) == ["several-documents 2:1"])
    #expect(faults(parse("---\na: 1\n...\n")).isEmpty)
  }

  @Test func `broken syntax is reported where it breaks`() {
    #expect(faults(parse("a: b: c\n")) == ["syntax 1:5"])
    #expect(parse("a: b: c\n").problems[0].suggestion != nil)
    #expect(faults(parse("a: [1, 2\nb: 3\n")) == ["syntax 2:2"])
    #expect(faults(parse("a: \"open\n")) == ["syntax 2:1"])
  }

  @Test func `an alias is its anchor`() {
    let root = parse("a: &x [1, 2]\nb: *x\n").root
    #expect(root?["b"]?.sequence?.compactMap(\.int) == [1, 2])
    #expect(faults(parse("a: &anchor 1\nb: *anchro\n")) == ["unknown-anchor 2:4"])
    #expect(parse("a: &anchor 1\nb: *anchro\n").problems[0].suggestion == "did you mean 'anchor'?")
  }

  @Test func `a recursive alias is refused`() {
    #expect(faults(parse("a: &x\n  b: *x\n")) == ["recursive-alias 2:6"])
    #expect(faults(parse("o: &x 1\na: &x [*x]\n")) == ["recursive-alias 2:8"])
  }

  @Test func `a billion laughs are refused before they are expanded`() {
    var text = "l0: &l0 lol\n"
    for i in 1...9 {
      text += "l\(i): &l\(i) [" + Array(repeating: "*l\(i - 1)", count: 10).joined(separator: ",") + "]\n"
    }
    let document = parse(text)
    #expect(document.root == nil)
    #expect(document.problems.map(\.code) == ["too-many-nodes"])
  }

  @Test func `deep nesting is refused whether written or by alias`() {
    #expect(parse(String(repeating: "[", count: 100_000)).problems.map(\.code) == ["too-deep"])
    var text = "a0: &a0 [x]\n"
    for i in 1...40 { text += "a\(i): &a\(i) [[*a\(i - 1)]]\n" }
    #expect(parse(text).problems.map(\.code) == ["too-deep"])
    let allowed = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(parse(allowed).problems.isEmpty)
  }

  @Test func `a file above the limit is refused`() {
    var limits = YAMLLimits()
    limits.bytes = 10
    #expect(
      YAMLDocument.parse(Array("a: 123456789".utf8), name: "f", limits: limits).problems.map(\.code) == ["too-large"])
    #expect(YAMLDocument.parse(Array("a: 1234567".utf8), name: "f", limits: limits).problems.isEmpty)
  }

  @Test func `keys that are no names merge keys and tags are refused`() {
    #expect(faults(parse("? [a, b]\n: 1\n")) == ["key-not-scalar 1:3"])
    #expect(faults(parse("a: &a {x: 1}\nb:\n  <<: *a\n")) == ["merge-key 3:3"])
    #expect(faults(parse("a: !!python/object:os.system x\n")) == ["unsupported-tag 1:4"])
    #expect(parse("a: !!str 12\n").root?["a"]?.string == "12")
  }

  @Test func `random bytes never do more than report a problem`() {
    var state: UInt64 = 42
    let alphabet = Array("ab:-[]{}&*!|>'\"%@`,?# \n\t\r\u{FEFF}<0é".utf8)
    for _ in 0..<3000 {
      var bytes: [UInt8] = []
      for _ in 0..<40 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes.append(alphabet[Int(state >> 33) % alphabet.count])
      }
      let document = YAMLDocument.parse(bytes, name: "f")
      #expect(document.root != nil || !document.problems.isEmpty)
      for problem in document.problems { #expect(!problem.render(source: document.source).isEmpty) }
    }
  }
}

@Suite(.timeLimit(.minutes(10))) struct YAMLValueTests {
  @Test(arguments: [
    ("", YAMLValue.null), ("~", .null), ("null", .null), ("true", .bool(true)), ("false", .bool(false)),
    ("True", .string("True")), ("yes", .string("yes")), ("NO", .string("NO")), ("on", .string("on")),
    ("12", .int(12)), ("-3", .int(-3)), ("+7", .int(7)), ("0o17", .int(15)), ("0x1F", .int(31)), ("012", .int(12)),
    ("0x-1", .string("0x-1")), ("1.5", .double(1.5)), (".5", .double(0.5)), ("1e3", .double(1000)),
    (".inf", .double(.infinity)), ("inf", .string("inf")), ("nan", .string("nan")), ("0x1p3", .string("0x1p3")),
    ("1.2.0.1", .string("1.2.0.1")), ("1_000", .string("1_000")), ("-", .string("-")), (".", .string(".")),
    ("99999999999999999999", .double(1e20)), ("2025-12-23", .string("2025-12-23")),
  ])
  func `a plain scalar has the meaning of the core schema`(_ text: String, _ value: YAMLValue) {
    #expect(YAMLValue(plain: text) == value)
  }

  @Test func `a quoted or block scalar is always text`() {
    let root = parse("a: \"true\"\nb: '12'\nc: |\n  5\n").root
    #expect(root?["a"]?.value == .string("true"))
    #expect(root?["b"]?.string == "12")
    #expect(root?["c"]?.string == "5\n")
    #expect(root?["a"]?.bool == nil)
  }
}

@Suite(.timeLimit(.minutes(10))) struct ProblemTests {
  @Test func `rendering shows the line a caret and the suggestion`() {
    let source = SourceText(name: "routes.yaml", bytes: Array("version: 1\nroute: [packet-validatr]\n".utf8))
    let problem = Problem(
      "unknown-stage", "no stage is called 'packet-validatr'", file: "routes.yaml", at: Position(line: 2, column: 9),
      length: 15, suggestion: "did you mean 'packet-validator'?")
    #expect(
      problem.render(source: source) == """
        routes.yaml:2:9: error: no stage is called 'packet-validatr' [unknown-stage]
         2 | route: [packet-validatr]
           |         ^~~~~~~~~~~~~~~
           = did you mean 'packet-validator'?
        """)
    #expect(problem.render(source: source, colours: true).contains("\u{1B}[1;31merror:"))
  }

  @Test func `the caret stays under its character after tabs and accents`() {
    let source = SourceText(name: "f", bytes: Array("\té\u{65}\u{301}x".utf8))
    let lines = Problem("c", "m", file: "f", at: Position(line: 1, column: 5)).render(source: source)
      .split(separator: "\n")
    #expect(lines.last == "   | \t  ^")
  }

  @Test func `control characters and endless lines do not reach the terminal`() {
    let text = "\u{1B}[2J" + String(repeating: "x", count: 100_000)
    let source = SourceText(name: "f", bytes: Array(text.utf8))
    let out = Problem("c", Problem.quote(text), file: "f", at: Position(line: 1, column: 5000)).render(source: source)
    #expect(!out.contains("\u{1B}"))
    #expect(out.utf8.count < 500)
  }

  @Test func `a place at the end of the file can be shown`() {
    let source = SourceText(name: "f", bytes: Array("a: [\n".utf8))
    #expect(Problem("c", "m", file: "f", at: Position(line: 2, column: 1)).render(source: source).hasSuffix("| ^"))
    #expect(Problem("c", "m", file: "f", at: Position(line: 9, column: 1)).render(source: source).hasSuffix("[c]"))
  }

  @Test func `the nearest name is found and a far one is not`() {
    let names = ["packet-validator", "packet-uploader", "print", "uin-generator"]
    #expect(NearestName.of("packet-validatr", among: names) == "packet-validator")
    #expect(NearestName.of("pakcet-uploader", among: names) == "packet-uploader")
    #expect(NearestName.of("UIN_Generator", among: names) == "uin-generator")
    #expect(NearestName.of("pint", among: names) == "print")
    #expect(NearestName.of("verification", among: names) == nil)
    #expect(NearestName.of("", among: names) == nil)
    #expect(NearestName.of(String(repeating: "x", count: 1_000_000), among: names) == nil)
  }
}

@Suite(.timeLimit(.minutes(10))) struct KeyedReaderTests {
  enum Mode: String, CaseIterable, YAMLReadable { case direct, bridge }

  func read(_ text: String, _ body: (KeyedReader) -> Void) -> [Problem] {
    let document = parse(text)
    let problems = Problems(file: "f.yaml", document.problems)
    guard let root = document.root, let reader = KeyedReader(root, of: "the stage", problems) else {
      return problems.all
    }
    body(reader)
    reader.finish()
    return problems.all
  }

  @Test func `all problems are found in one run in the order of the file`() {
    let problems = read("wrokers: 3\nname: 12\nmode: bridg\nports: [1, x, y]\n") { reader in
      #expect(reader.required("name", String.self) == nil)
      #expect(reader.optional("workers", Int.self) == nil)
      #expect(reader.required("mode", Mode.self) == nil)
      #expect(reader.optional("ports", [Int].self) == nil)
      #expect(reader.required("plugin", String.self) == nil)
    }
    #expect(
      problems.map { "\($0.code) \($0.position)" } == [
        "missing-key 1:1", "unknown-key 1:1", "wrong-type 2:7", "wrong-type 3:7", "wrong-type 4:12", "wrong-type 4:15",
      ])
    #expect(problems[1].suggestion == "did you mean 'workers'?")
    #expect(problems[2].suggestion == "put it in quotes: \"12\"")
    #expect(problems[3].suggestion == "did you mean 'bridge'?")
  }

  @Test func `values of the right type are read`() {
    let problems = read("name: x\nworkers: 3\nmode: bridge\nrate: 1.5\non: true\nports: [1, 2]\nnone:\nsub: {a: b}\n") {
      #expect($0.required("name", String.self) == "x")
      #expect($0.optional("workers", Int.self) == 3)
      #expect($0.optional("mode", Mode.self) == .bridge)
      #expect($0.optional("rate", Double.self) == 1.5)
      #expect($0.optional("on", Bool.self) == true)
      #expect($0.optional("ports", [Int].self) == [1, 2])
      #expect($0.optional("none", String.self) == nil)
      let sub = $0.mapping("sub")
      #expect(sub?.optional("a", String.self) == "b")
    }
    #expect(problems.isEmpty)
  }

  @Test func `something else than a mapping is reported`() {
    #expect(read("[1]") { _ in }.map(\.message) == ["expected a mapping for the stage, found a list"])
  }
}
