import System
import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct CBEFFTests {
  private static let finger = """
    <BIR><BIRInfo><Integrity>false</Integrity></BIRInfo><BDBInfo><Format><Organization>Mosip</Organization><Type>7</Type></Format>\
    <Type>Finger</Type><Subtype>Left IndexFinger</Subtype></BDBInfo><BDB>AQID</BDB><SB>aC4ucw==</SB>\
    <others><entry key="EXCEPTION">false</entry><entry key="PAYLOAD">{&quot;a&quot;:&#x31;}</entry></others></BIR>
    """
  private static let face = """
    <BIR><BIRInfo/><BDBInfo><Format/><Type>Face</Type></BDBInfo><BDB>
      BAUG
    </BDB><others><key>EXCEPTION</key><value>true</value></others></BIR>
    """

  private static func file(_ parts: String..., root: String = #"<BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/">"#)
    -> [UInt8]
  {
    Array((root + "<BIRInfo/>" + parts.joined() + "</BIR>").utf8)
  }

  @Test(.timeLimit(.minutes(1))) func `a hundred thousand attributes or elements are refused in no time`() {
    let attributes = (0..<100_000).map { " a\($0)='\($0)'" }.joined()
    for text in [
      "<BIR\(attributes)/>", "<BIR>" + String(repeating: "<a/>", count: 100_000) + "</BIR>",
      "<BIR>" + String(repeating: "&amp;<!---->", count: 100_000) + "</BIR>",
    ] {
      #expect(throws: CBEFFError.self) { try CBEFF.read(Array(text.utf8)) }
    }
  }

  @Test func `a record is read with its captures in their order`() throws {
    let record = try CBEFF.read(
      [0xEF, 0xBB, 0xBF] + Array("<?xml version=\"1.0\"?><!-- x -->\n".utf8) + Self.file(Self.finger, Self.face))
    #expect(record.segments.map(\.type) == ["Finger", "Face"])
    let finger = record.segments[0]
    #expect(finger.subtypes == ["Left", "IndexFinger"] && finger.data == [1, 2, 3])
    #expect(finger.signature == Array("h..s".utf8) && finger.others == ["EXCEPTION": "false", "PAYLOAD": #"{"a":1}"#])
    #expect(!finger.isException && record.segments[1].isException && record.segments[1].data == [4, 5, 6])
    #expect(!"\(record)\(finger)".contains("PAYLOAD"))
  }

  @Test func `names may have a prefix and texts be CDATA`() throws {
    let text =
      #"<b:BIR xmlns:b="\#(CBEFF.namespace)"><b:BIR><b:BIRInfo/><b:BDBInfo><b:Format/><b:Type><![CDATA[Iris]]></b:Type></b:BDBInfo></b:BIR></b:BIR>"#
    let record = try CBEFF.read(Array(text.utf8))
    #expect(record.segments.map(\.type) == ["Iris"] && record.segments[0].others == nil && record.segments[0].data.isEmpty)
  }

  @Test func `a record may have no captures`() throws {
    #expect(try CBEFF.read(Self.file()).segments.isEmpty)
  }

  /// Bytes that are no record, and a word of the reason.
  static let bad: [(String, String)] = [
    ("", "too early"), ("<BIR", "name"), ("<BIR>", "too early"), ("text", "outside"), ("<a></b>", "fits no element"),
    ("<BIR/>", "namespace"), (#"<X xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/"/>"#, "not BIR"),
    ("<!DOCTYPE BIR [<!ENTITY a \"b\">]><BIR/>", "document type"), ("<BIR>&a;</BIR>", "entity"), ("<BIR>&#0;</BIR>", "entity"),
    ("<BIR>&#xD800;</BIR>", "entity"), ("<BIR>&lt", "entity"), ("<BIR a=\"1\" a=\"2\"/>", "twice"), ("<BIR a/>", "attribute"),
    ("<BIR/><BIR/>", "more than one"), ("<BIR/>x", "outside"), ("<!-- x", "too early"), ("<BIR><![CDATA[x</BIR>", "too early"),
    ("</BIR>", "fits no element"), ("<BIR <", "name"),
    (String(repeating: "<a>", count: 50), "too deep"), ("<r>" + String(repeating: "<a/>", count: 20_000), "too many"),
  ]
  @Test(arguments: bad) func `a text that is no record is refused with its reason`(_ text: String, _ reason: String) {
    let error = #expect(throws: CBEFFError.self) { try CBEFF.read(Array(text.utf8)) }
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test(arguments: [
    ("<BIRInfo><Integrity>false</Integrity></BIRInfo>", "", "BIRInfo"),
    ("<Type>Finger</Type>", "", "type"), ("<Type>Finger</Type>", "<Type>Tail</Type>", "type"), ("AQID", "A*ID", "BDB"),
    ("aC4ucw==", "a", "SB"), ("<Format><Organization>Mosip</Organization><Type>7</Type></Format>", "", "Format"),
  ])
  func `a capture without a part that it must have is refused`(_ part: String, _ other: String, _ reason: String) {
    let changed = Self.finger.replacing(part, with: other)
    #expect(changed != Self.finger)
    let error = #expect(throws: CBEFFError.self) { try CBEFF.read(Self.file(changed)) }
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test func `too many captures and bytes that are not UTF8 are refused`() {
    #expect(throws: CBEFFError.self) {
      try CBEFF.read(Self.file(String(repeating: Self.face, count: CBEFF.mostSegments + 1)))
    }
    #expect(throws: CBEFFError.self) { try CBEFF.read(Self.file(Self.finger) + [0xFF]) }
  }

  @Test func `every cut off of a record is noticed`() throws {
    let whole = Self.file(Self.finger, Self.face)
    for length in 0..<whole.count {
      #expect(throws: CBEFFError.self, "\(length)") { try CBEFF.read(Array(whole[..<length])) }
    }
  }

  // MARK: The schema

  /// A record with every element that the schema knows.
  private static let whole = """
    <BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
    <BIRInfo><Integrity>false</Integrity></BIRInfo>
    <BIR><Version><Major>1</Major><Minor>1</Minor></Version><CBEFFVersion><Major>1</Major><Minor>1</Minor></CBEFFVersion>
    <BIRInfo><Creator>a</Creator><Index>0b0f2a9c-8a4e-4c6e-9b53-0d2f5a7c1e11</Index><Payload>AQ==</Payload><Integrity>true</Integrity>
    <CreationDate>2024-02-29T23:59:59.123Z</CreationDate><NotValidBefore>2024-02-29T23:59:59+05:30</NotValidBefore>
    <NotValidAfter>2024-02-29T23:59:59</NotValidAfter></BIRInfo>
    <BDBInfo><ChallengeResponse>AQ==</ChallengeResponse><Index>0b0f2a9c-8a4e-4c6e-9b53-0d2f5a7c1e11</Index>
    <Format><Organization>Mosip</Organization><Type>7</Type></Format><Encryption>false</Encryption>
    <CreationDate>2024-02-29T23:59:59Z</CreationDate><Type>Finger</Type><Subtype>Left Thumb</Subtype><Level>Raw</Level>
    <Product><Organization>a</Organization><Type>b</Type></Product><CaptureDevice><Organization>a</Organization><Type>b</Type></CaptureDevice>
    <Purpose>Enroll</Purpose>
    <Quality><Algorithm><Organization>HMAC</Organization><Type>SHA-256</Type></Algorithm><Score>100</Score></Quality></BDBInfo>
    <SBInfo><Format><Organization>a</Organization><Type>b</Type></Format></SBInfo><BDB>-_8=</BDB><SB>aC4u
    cw==</SB><others><entry key="EXCEPTION">false</entry></others><others xsi:nil="true"/></BIR>
    <BIR><BIRInfo><Integrity>0</Integrity></BIRInfo><BDBInfo><Format><Organization/><Type/></Format><Type>Face</Type><Subtype/>
    <Quality><Algorithm><Organization/><Type/></Algorithm><QualityCalculationFailed>x</QualityCalculationFailed></Quality></BDBInfo></BIR>
    </BIR>
    """

  @Test func `a record with all that the schema knows is read`() throws {
    let record = try CBEFF.read(Array(Self.whole.utf8), by: .schema)
    #expect(record.segments.map(\.type) == ["Finger", "Face"])
    #expect(record.segments[0].data == [0xFB, 0xFF] && record.segments[0].others == ["EXCEPTION": "false"])
  }

  /// What breaks one rule, and a word of the reason. All of it has the shape of a record.
  @Test(arguments: [
    ("<BIRInfo><Integrity>false</Integrity></BIRInfo>\n", "<BIRInfo/>", "no Integrity"),
    ("<Integrity>true<", "<Integrity>yes<", "Integrity"),
    ("<Major>1</Major><Minor>1</Minor></Version>", "<Minor>1</Minor><Major>1</Major></Version>", "no Major"),
    ("<Minor>1</Minor></Version>", "</Version>", "no Minor"), ("<Major>1<", "<Major>4294967296<", "Major"),
    ("<Major>1<", "<Major>-1<", "Major"), ("<Creator>a</Creator>", "<Creator><b/></Creator>", "holds elements"),
    ("<Creator>a</Creator>", "<Maker>a</Maker>", "no Integrity"), ("<Purpose>Enroll</Purpose>", "<Aim/>", "not known"),
    ("<Creator>a</Creator>", "text<Creator>a</Creator>", "holds text"),
    ("<Index>0b0f2a9c-", "<Index>0b0f2a9c", "Index"), ("<Payload>AQ==<", "<Payload>A*<", "Payload"),
    ("<CreationDate>2024-02-29T23:59:59.123Z<", "<CreationDate>2024-02-29<", "CreationDate"),
    ("<CreationDate>2024-02-29T23:59:59.123Z<", "<CreationDate>2024-13-29T23:59:59Z<", "CreationDate"),
    ("59+05:30<", "59+5:30<", "NotValidBefore"), ("<Encryption>false<", "<Encryption/><Encryption>false<", "Encryption"),
    ("<Subtype>Left Thumb<", "<Subtype>Left Toe<", "Subtype"), ("<Subtype>Left Thumb<", "<Subtype>Left LeftVein<", "Subtype"),
    ("<Type>Finger</Type>", "<Type>finger</Type>", "Type"), ("<Level>Raw<", "<Level>raw<", "Level"),
    ("<Purpose>Enroll<", "<Purpose>Print<", "Purpose"), ("<Score>100<", "<Score>101<", "Score"),
    ("<Score>100</Score>", "", "no QualityCalculationFailed or Score"),
    ("<Score>100</Score>", "<Score>1</Score><QualityCalculationFailed/>", "another place"),
    ("<Organization>Mosip</Organization><Type>7</Type>", "", "no Organization"),
    ("<BDB>-_8=</BDB><SB>", "<SB/><BDB>-_8=</BDB><SB>", "place"),
    ("<entry key=\"EXCEPTION\">", "<entry>", "no key"), ("<BDB>-_8=", "<BDB lang=\"x\">-_8=", "attribute"),
    ("<Level>Raw</Level>", "<Level xmlns=\"other\">Raw</Level>", "namespace"),
  ])
  func `what breaks one rule of the schema is refused`(_ part: String, _ other: String, _ reason: String) throws {
    let range = try #require(Self.whole.firstRange(of: part))
    let changed = Array((Self.whole[..<range.lowerBound] + other + Self.whole[range.upperBound...]).utf8)
    let error = #expect(throws: CBEFFError.self) { try CBEFF.read(changed, by: .schema) }
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  // MARK: The device's token

  private static func header(_ certificate: String) -> String {
    Encoding.base64URL(Array(#"{"alg":"RS256","x5c":["\#(certificate)"]}"#.utf8))
  }
  private static func segment(
    signature: String = header("QQ==") + "..c2ln",
    payload: String? = #"{"digitalId":"\#(header("QQ==")).p.s","bioValue":"<bioValue>"}"#,
    others: [String: String] = ["EXCEPTION": "false"]
  ) -> BiometricSegment {
    var others = others
    others["PAYLOAD"] = payload
    return BiometricSegment(type: "Finger", data: [0xFB, 0xFF], signature: Array(signature.utf8), others: others)
  }

  @Test func `the token has the capture in its payload`() throws {
    let parts = try Self.segment().deviceToken().split(separator: ".").map(String.init)
    #expect(parts.count == 3 && parts[0] == Self.header("QQ==") && parts[2] == "c2ln")
    let payload = String(decoding: try #require(Encoding.bytes(base64: parts[1])), as: UTF8.self)
    #expect(payload.hasSuffix(#""bioValue":"-_8"}"#))
  }

  @Test func `a capture without a whole token says what it lacks`() {
    func fault(_ segment: BiometricSegment) -> BiometricSegment.TokenError? {
      do {
        _ = try segment.deviceToken()
        return nil
      } catch { return error }
    }
    var bare = Self.segment()
    bare.others = nil
    #expect(fault(bare) == .noOthers)
    #expect(fault(Self.segment(payload: nil)) == .noPayload)
    #expect(fault(Self.segment(payload: "no JSON")) == .noPayload)
    for signature in ["", "a.b.c", "..", "a..", "..c", "a..b.c"] {
      #expect(fault(Self.segment(signature: signature)) == .noSignature)
    }
    #expect(fault(Self.segment(signature: "e30..c2ln")) == .otherCertificate)
    #expect(fault(Self.segment(payload: #"{"digitalId":"\#(Self.header("QUI=")).p.s"}"#)) == .otherCertificate)
    #expect(fault(Self.segment(payload: "{}")) == .otherCertificate)
  }
}
