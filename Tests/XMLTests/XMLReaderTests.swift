import Testing
import XML

@Suite(.timeLimit(.minutes(10))) struct XMLReaderTests {
  func fault(_ text: String) -> String? {
    do {
      _ = try XMLReader.read(Array(text.utf8))
      return nil
    } catch { return "\(error.fault) \(error.line):\(error.column)" }
  }

  /// Time in proportion to the input: pairwise, each of these took minutes.
  @Test(.timeLimit(.minutes(1))) func `a hundred thousand attributes or elements on one line are read in no time`() throws {
    let limits = XMLLimits(attributes: 100_001)
    let attributes = (0..<100_000).map { " a\($0)='\($0)'" }.joined()
    let root = try XMLReader.read(Array("<r\(attributes)/>".utf8), limits: limits)
    #expect(root.attributes.count == 100_000 && root.attributes.last?.value == "99999")
    let error = #expect(throws: XMLError.self) { try XMLReader.read(Array("<r\(attributes) a5='x'/>".utf8), limits: limits) }
    #expect(error?.message == "the attribute a5 is twice in one tag")
    let elements = String(repeating: "<e x='1'>ü</e>", count: 99_998)
    let long = try XMLReader.read(Array("<r>\(elements)<f/></r>".utf8))
    #expect(long.children.count == 99_999)
    #expect(long.children.last?.line == 1 && long.children.last?.column == 4 + 14 * 99_998)
  }

  @Test func `elements attributes text and entities are read`() throws {
    let root = try XMLReader.read(
      Array(
        """
        \u{FEFF}<?xml version="1.0" encoding="UTF-8"?>
        <!-- a <comment> -->
        <c:routes xmlns='u'>
          <to uri="a&amp;b" x='"'/>
          <t>a &lt; b &#x41;&#66; <![CDATA[<raw> & ]]></t >
        </c:routes>
        <!-- end -->
        """.utf8))
    #expect(root.name == "routes")
    #expect(root.children.map(\.name) == ["to", "t"])
    #expect(root.children[0]["uri"] == "a&b")
    #expect(root.children[0]["x"] == "\"")
    #expect(root.children[1].text == "a < b AB <raw> & ")
    #expect(root.children[0].line == 4 && root.children[0].column == 3)
  }

  @Test(arguments: [
    ("<!DOCTYPE routes SYSTEM \"file:///etc/passwd\"><routes/>", "documentType 1:1"),
    ("<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r>&x;</r>", "documentType 1:1"),
    ("<?xml version='1.0'?>\n<!DOCTYPE r [<!ENTITY % d SYSTEM 'http://h/x'> %d;]>\n<r/>", "documentType 2:1"),
    ("<!ENTITY x 'y'><r/>", "unknownEntity 1:1"), ("<r>&x;</r>", "unknownEntity 1:4"), ("<r a='&lol9;'/>", "unknownEntity 1:7"),
    ("<r>&#0;</r>", "unknownEntity 1:4"), ("<r>&#xD800;</r>", "unknownEntity 1:4"), ("", "endsEarly 1:1"), ("x", "textOutside 1:1"),
    ("<r>", "endsEarly 1:1"), ("<r></s>", "wrongEnd 1:4"), ("<r/><r/>", "secondRoot 1:5"), ("<r", "name 1:3"),
    ("<r a=1/>", "attributeWithoutValue 1:6"), ("<r a='1' a='2'/>", "attributeTwice 1:11"),
    ("<r a='<'/>", "attributeWithoutValue 1:6"),
    ("<!-- x", "endsEarly 1:1"), ("<r><![CDATA[x</r>", "endsEarly 1:4"), ("<r>a & b</r>", "openEntity 1:6"),
    ("<1/>", "name 1:2"), ("<?xml version='1.0' encoding='latin-1'?><r/>", "notUTF8 1:1"),
    ("<r/>x", "textOutside 1:5"),
    ("<p:r></q:r>", "wrongEnd 1:6"), ("<r p:a='1' a='2'/>", "attributeTwice 1:13"), ("<r>&#xFFFFFFFF;</r>", "unknownEntity 1:4"),
    ("<r>&#+65;</r>", "unknownEntity 1:4"), ("<r a='1'b='2'/>", "name 1:9"), ("<!ELEMENT r ANY><r/>", "declaration 1:1"),
    (String(repeating: "<a>", count: 65), "tooDeep 1:195"),
  ])
  func `what is wrong or dangerous is refused by name`(_ text: String, _ expected: String) {
    #expect(fault(text) == expected)
  }

  @Test func `other encodings are refused`() {
    for bytes: [UInt8] in [[0xFF, 0xFE, 60, 0], [0xFE, 0xFF, 0, 60], Array("<r>".utf8) + [0xFF] + Array("</r>".utf8)] {
      #expect(throws: XMLError.self) { try XMLReader.read(bytes) }
    }
  }

  @Test func `a prefix stands for the namespace that is declared nearest`() throws {
    let root = try XMLReader.read(
      Array("<a xmlns='u' xmlns:p='v'><p:b x='1' p:y='2'/><c xmlns=''/><p:d xmlns:p='w'/><q:e/></a>".utf8))
    #expect(root.namespace == "u" && root.children.map(\.namespace) == ["v", "", "w", ""])
    #expect(root.attributes.map(\.name) == ["xmlns", "p"] && root.attributes.allSatisfy(\.isDeclaration) && root["p"] == nil)
    #expect(root.first("b")?["x"] == "1" && root.first("b")?["y"] == "2" && root.first("b")?["z"] == nil)
  }

  /// What is just within a limit, and one more.
  @Test func `what is above a limit is refused by name`() throws {
    let limits = XMLLimits(bytes: 60, elements: 3, depth: 2, attributes: 2)
    for (text, more, fault) in [
      (
        "<r>" + String(repeating: "x", count: 53) + "</r>", "<r>" + String(repeating: "x", count: 54) + "</r>",
        XMLError.Fault.tooLarge
      ),
      ("<r><a/><b/></r>", "<r><a/><b/><c/></r>", .tooManyElements), ("<r><a/></r>", "<r><a><b/></a></r>", .tooDeep),
      ("<r a='' b=''/>", "<r a='' b='' c=''/>", .tooManyAttributes),
      ("<r xmlns:a='' xmlns:b=''><a/></r>", "<r xmlns:a='' xmlns:b=''><a xmlns:c=''/></r>", .tooManyAttributes),
    ] {
      _ = try XMLReader.read(Array(text.utf8), limits: limits)
      let error = #expect(throws: XMLError.self) { try XMLReader.read(Array(more.utf8), limits: limits) }
      #expect(error?.fault == fault)
    }
  }
}
