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
