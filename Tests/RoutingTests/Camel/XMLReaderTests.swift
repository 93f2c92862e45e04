import System
import Testing
import YAML

@testable import Routing

@Suite struct XMLReaderTests {
  func fault(_ text: String) -> String? {
    do {
      _ = try XMLReader.read(Array(text.utf8), name: "x.xml")
      return nil
    } catch { return "\(error.code) \(error.position)" }
  }

  /// Time in proportion to the input: pairwise, each of these took minutes.
  @Test(.timeLimit(.minutes(1))) func aHundredThousandAttributesOrElementsOnOneLineAreReadInNoTime() throws {
    let attributes = (0..<100_000).map { " a\($0)='\($0)'" }.joined()
    let root = try XMLReader.read(Array("<r\(attributes)/>".utf8), name: "x.xml")
    #expect(root.attributes.count == 100_000 && root.attributes.last?.value == "99999")
    let error = #expect(throws: Problem.self) { try XMLReader.read(Array("<r\(attributes) a5='x'/>".utf8), name: "x.xml") }
    #expect(error?.message == "the attribute a5 is twice in one tag")
    let elements = String(repeating: "<e x='1'>ü</e>", count: 99_998)
    let long = try XMLReader.read(Array("<r>\(elements)<f/></r>".utf8), name: "x.xml")
    #expect(long.children.count == 99_999)
    #expect(long.children.last?.position == Position(line: 1, column: 4 + 14 * 99_998))
  }

  @Test func elementsAttributesTextAndEntitiesAreRead() throws {
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
        """.utf8), name: "x")
    #expect(root.name == "routes")
    #expect(root.children.map(\.name) == ["to", "t"])
    #expect(root.children[0]["uri"] == "a&b")
    #expect(root.children[0]["x"] == "\"")
    #expect(root.children[1].text == "a < b AB <raw> & ")
    #expect(root.children[0].position == Position(line: 4, column: 3))
  }

  @Test(arguments: [
    ("<!DOCTYPE routes SYSTEM \"file:///etc/passwd\"><routes/>", "doctype 1:1"),
    ("<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r>&x;</r>", "doctype 1:1"),
    ("<?xml version='1.0'?>\n<!DOCTYPE r [<!ENTITY % d SYSTEM 'http://h/x'> %d;]>\n<r/>", "doctype 2:1"),
    ("<!ENTITY x 'y'><r/>", "entity 1:1"), ("<r>&x;</r>", "entity 1:4"), ("<r a='&lol9;'/>", "entity 1:6"),
    ("<r>&#0;</r>", "entity 1:4"), ("<r>&#xD800;</r>", "entity 1:4"), ("", "xml-syntax 1:1"), ("x", "xml-syntax 1:1"),
    ("<r>", "xml-syntax 1:1"), ("<r></s>", "xml-syntax 1:4"), ("<r/><r/>", "xml-syntax 1:5"), ("<r", "xml-syntax 1:3"),
    ("<r a=1/>", "xml-syntax 1:6"), ("<r a='1' a='2'/>", "xml-syntax 1:11"), ("<r a='<'/>", "xml-syntax 1:6"),
    ("<!-- x", "xml-syntax 1:1"), ("<r><![CDATA[x</r>", "xml-syntax 1:4"), ("<r>a & b</r>", "xml-syntax 1:4"),
    ("<1/>", "xml-syntax 1:2"), ("<?xml version='1.0' encoding='latin-1'?><r/>", "not-utf-8 1:1"),
    ("<r/>x", "xml-syntax 1:5"),
    (String(repeating: "<a>", count: 65), "too-deep 1:195"),
  ])
  func whatIsWrongOrDangerousIsRefusedByName(_ text: String, _ expected: String) {
    #expect(fault(text) == expected)
  }

  @Test func otherEncodingsAreRefused() {
    for bytes: [UInt8] in [[0xFF, 0xFE, 60, 0], [0xFE, 0xFF, 0, 60], Array("<r>".utf8) + [0xFF] + Array("</r>".utf8)] {
      #expect(throws: Problem.self) { try XMLReader.read(bytes, name: "x") }
    }
  }
}
