import JSON
import System
import Testing

@testable import Registration

private let sample = #"""
  {"reg_type":"OPENCRVS_NEW","rid":"10001100020000120251223162454","isValid":true,"internalError":false,
   "messageBusAddress":{"address":"packet-classifier-bus-in"},"retryCount":null,
   "tags":{"AGE_GROUP":"INFANT","INTRODUCER_AVAILABILITY":"false","META_INFO-META_DATA-centerId":"10001"},
   "lastHopTimestamp":"2025-12-23T16:24:54.120Z","source":null,"iteration":1,
   "workflowInstanceId":"5d0f3c0e-4c7e-4c0e-9a54-0d7d1f1f8a11"}
  """#

private func message(_ text: String) throws -> Message { try Message(decoding: Array(text.utf8)) }
private func value(_ message: Message, _ name: String) -> Message.Value {
  Message.Path(name).map(message.value(at:)) ?? .absent
}

private func minimal(_ members: String) -> String { #"{"reg_type":"NEW","rid":"1","# + members + "}" }

@Suite(.timeLimit(.minutes(10))) struct MessageTests {
  @Test func `every field of a record is read`() throws {
    let m = try message(sample)
    #expect(m.process == "OPENCRVS_NEW")
    #expect(m.rid == "10001100020000120251223162454")
    #expect(m.isValid == true)
    #expect(m.internalError == false)
    #expect(m.messageBusAddress == "packet-classifier-bus-in")
    #expect(m.retryCount == nil)
    #expect(
      m.tags == ["AGE_GROUP": "INFANT", "INTRODUCER_AVAILABILITY": "false", "META_INFO-META_DATA-centerId": "10001"])
    #expect(m.tag("AGE_GROUP") == "INFANT")
    #expect(m.tag("age_group") == nil)
    #expect(m.lastHopTimestamp == Instant(iso: "2025-12-23T16:24:54.120Z"))
    #expect(m.source == nil)
    #expect(m.iteration == 1)
    #expect(m.workflowInstanceId == "5d0f3c0e-4c7e-4c0e-9a54-0d7d1f1f8a11")
  }

  @Test func `an unchanged message is written with the same content`() throws {
    let m = try message(sample)
    #expect(try JSONValue.parse(m.encoded()) == JSONValue.parse(sample))
    #expect(m.encodedCount == m.encoded().count)
    var out = Array("x".utf8)
    m.encode(into: &out)
    #expect(out == [120] + m.encoded())
  }

  @Test func `all eleven fields are written, null as null, and no other`() throws {
    let m = try message(#"{"rid":"1","x":{"y":[1]},"reg_type":"NEW"}"#)
    #expect(
      String(decoding: m.encoded(), as: UTF8.self)
        == #"{"reg_type":"NEW","rid":"1","isValid":null,"internalError":null,"messageBusAddress":null,"#
        + #""retryCount":null,"tags":null,"lastHopTimestamp":null,"source":null,"iteration":0,"workflowInstanceId":null}"#
    )
    #expect(m.tags == nil)
  }

  @Test func `changed fields are written anew and the others as they came`() throws {
    var m = try message(
      minimal(#""isValid":true,"tags": {"a" : "\u0062"},"source":"C\/1","retryCount":-12,"messageBusAddress":null"#))
    let before = m.encoded()
    var copy = m
    copy.isValid = false
    copy.internalError = true
    copy.messageBusAddress = "a\"b"
    copy.lastHopTimestamp = Instant(iso: "2024-02-29T23:59:59.007Z")
    copy.retryCount = 2_147_483_647
    copy.iteration = 7
    copy.workflowInstanceId = "é"
    #expect(
      String(decoding: copy.encoded(), as: UTF8.self)
        == #"{"reg_type":"NEW","rid":"1","isValid":false,"internalError":true,"messageBusAddress":{"address":"a\"b"},"#
        + #""retryCount":2147483647,"tags":{"a" : "\u0062"},"lastHopTimestamp":"2024-02-29T23:59:59.007Z","#
        + #""source":"C\/1","iteration":7,"workflowInstanceId":"é"}"#)
    #expect(copy.messageBusAddress == "a\"b")
    #expect(copy.encodedCount == copy.encoded().count)
    #expect(m.encoded() == before)
    #expect(m.retryCount == -12)
    #expect(m.source == "C/1")
    m = try Message(decoding: copy.encoded())
    #expect(m.encoded() == copy.encoded())
    m.messageBusAddress = nil
    m.tags = nil
    m.lastHopTimestamp = nil
    m.isValid = nil
    #expect(m.messageBusAddress == nil && m.tags == nil && m.lastHopTimestamp == nil && m.isValid == nil)
    #expect(try Message(decoding: m.encoded()).tags == nil)
  }

  @Test func `a time stamp set at every hop does not make a message grow`() throws {
    var m = try message(sample)
    for i in 0..<1_000 { m.lastHopTimestamp = Instant(milliseconds: Int64(i)) }
    #expect(m.written.count == 26)
    #expect(m.lastHopTimestamp == Instant(milliseconds: 999))
  }

  @Test func `tags of any script and with escapes survive`() throws {
    let tags = ["é": "한국", "q\"uote": "back\\slash", "": "", "new\nline": "\u{1}", "😀": "\u{10FFFF}", "a.b": "/"]
    var m = try Message(process: "NEW", rid: "1", tags: tags)
    #expect(m.tags == tags)
    let again = try Message(decoding: m.encoded())
    #expect(again.tags == tags)
    for (name, value) in tags { #expect(again.tag(name) == value) }
    m.tags = [:]
    #expect(m.tags == [:])
    let escaped = try message(minimal(#""tags":{"AGE\u005fGROUP":"IN\u0046ANT","n":null}"#))
    #expect(escaped.tag("AGE_GROUP") == "INFANT")
    #expect(escaped.tags == ["AGE_GROUP": "INFANT"])
    #expect(value(escaped, "tags.n") == .null)
  }

  @Test func `the last of two tags of one name counts, in every way of reading`() throws {
    let m = try message(minimal(#""tags":{"a":"1","\u0061":"2"}"#))
    #expect(m.tag("a") == "2")
    #expect(m.tags == ["a": "2"])
    #expect(m.text(at: Message.Path("tags.a")!, equals: Array("2".utf8)))
  }

  @Test func `escaped names of fields are the same names`() throws {
    let m = try message(#"{"reg\u005ftype":"N\u0045W","\u0072id":"1\u0032"}"#)
    #expect(m.process == "NEW")
    #expect(m.rid == "12")
  }

  @Test func `a message made here reads as it was made`() throws {
    let now = Instant(milliseconds: 1_766_507_094_120)
    let m = try Message(
      process: "NEW", rid: "1", isValid: true, internalError: nil, messageBusAddress: "a", retryCount: 3,
      tags: ["a": "b"],
      lastHopTimestamp: now, source: "CRVS1", iteration: 2, workflowInstanceId: "w")
    let n = try Message(decoding: m.encoded())
    #expect(n.encoded() == m.encoded())
    #expect(n.isValid == true && n.internalError == nil && n.retryCount == 3 && n.iteration == 2)
    #expect(n.lastHopTimestamp == now && n.source == "CRVS1" && n.workflowInstanceId == "w")
    #expect(#expect(throws: MessageError.self) { try Message(process: "", rid: "1") }?.code == .missing)
    #expect(#expect(throws: MessageError.self) { try Message(process: "N W", rid: "1") }?.code == .invalidCharacter)
    #expect(
      #expect(throws: MessageError.self) { try Message(process: "N", rid: String(repeating: "1", count: 65)) }?.code
        == .tooLong)
  }

  @Test(
    arguments: [
      ("", .notJSON, nil), ("[]", .notAnObject, nil), ("null", .notAnObject, nil), ("\"x\"", .notAnObject, nil),
      ("{}", .missing, "reg_type"), (#"{"reg_type":"NEW"}"#, .missing, "rid"), (#"{"rid":"1"}"#, .missing, "reg_type"),
      (#"{"reg_type":null,"rid":"1"}"#, .missing, "reg_type"), (#"{"reg_type":"NEW","rid":""}"#, .missing, "rid"),
      (#"{"reg_type":1,"rid":"1"}"#, .wrongType, "reg_type"), (#"{"reg_type":"NEW","rid":1}"#, .wrongType, "rid"),
      (#"{"reg_type":"N/W","rid":"1"}"#, .invalidCharacter, "reg_type"),
      (#"{"reg_type":"NEW","rid":"1 2"}"#, .invalidCharacter, "rid"),
      (#"{"reg_type":"NEW","rid":"1\n2"}"#, .invalidCharacter, "rid"),
      (#"{"reg_type":"NEW","rid":"é"}"#, .invalidCharacter, "rid"), (minimal(#""rid":"1""#), .duplicateField, "rid"),
      (minimal(#""isValid":"true""#), .wrongType, "isValid"),
      (minimal(#""internalError":0"#), .wrongType, "internalError"),
      (minimal(#""messageBusAddress":"a""#), .wrongType, "messageBusAddress"),
      (minimal(#""messageBusAddress":{"address":1}"#), .wrongType, "messageBusAddress"),
      (minimal(#""messageBusAddress":{"address":"a","address":"b"}"#), .duplicateField, "messageBusAddress"),
      (minimal(#""retryCount":"1""#), .wrongType, "retryCount"),
      (minimal(#""retryCount":1.0"#), .wrongType, "retryCount"),
      (minimal(#""iteration":2147483648"#), .outOfRange, "iteration"),
      (minimal(#""iteration":99999999999999999999"#), .outOfRange, "iteration"),
      (minimal(#""tags":[]"#), .wrongType, "tags"), (minimal(#""tags":{"a":1}"#), .wrongType, "tags"),
      (minimal(#""tags":{"a":{}}"#), .wrongType, "tags"),
      (minimal(#""lastHopTimestamp":5"#), .wrongType, "lastHopTimestamp"),
      (minimal(#""source":{}"#), .wrongType, "source"),
      (minimal(#""workflowInstanceId":1"#), .wrongType, "workflowInstanceId"),
      (minimal(#""x":[1,]"#), .notJSON, nil), (minimal(#""isValid":true"#) + "x", .notJSON, nil),
      (minimal(#""x":"\ud800""#), .notJSON, nil), (minimal(#""tags":{"a":"b"#), .notJSON, nil),
    ] as [(String, MessageError.Code, String?)])
  func `bytes that are no message are refused by rule and field`(
    text: String, code: MessageError.Code, field: String?
  ) {
    let error = #expect(throws: MessageError.self) { try message(text) }
    #expect(error?.code == code)
    #expect(error?.field == field)
    #expect((error?.json != nil) == (code == .notJSON))
  }

  @Test func `large and deep records are refused, and an error never shows what was in them`() throws {
    let long = String(repeating: "s", count: 5 << 20)
    #expect(#expect(throws: MessageError.self) { try message(minimal("\"x\":\"\(long)\"")) }?.code == .tooLarge)
    #expect(
      #expect(throws: MessageError.self) { try message(#"{"reg_type":"NEW","rid":"\#(long.prefix(65))"}"#) }?.code
        == .tooLong)
    let deep = String(repeating: "[", count: 100_000)
    let error = #expect(throws: MessageError.self) { try message(minimal("\"secret\":\(deep)")) }
    #expect(error?.json?.code == .tooDeep)
    #expect(error.map { "\($0)" } == "message: not JSON, JSON: nested too deeply at line 1, column 101")
    let wide = "{" + (0..<40_000).map { "\"t\($0)\":\"v\"" }.joined(separator: ",") + "}"
    #expect(try message(minimal("\"tags\":\(wide)")).tag("t39999") == "v")
  }

  @Test func `damage never crashes, and what is still a message is written and read again alike`() {
    let text = Array(sample.utf8)
    var random = SystemRandomNumberGenerator()
    var read = 0
    for _ in 0..<10_000 {
      var damaged = text
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      guard let m = try? Message(decoding: damaged) else { continue }
      read += 1
      _ = m.lastHopTimestamp
      let again = try? Message(decoding: m.encoded())
      #expect(again?.encoded() == m.encoded())
      #expect(again?.tags == m.tags)
    }
    #expect((1..<10_000).contains(read), "some damage is harmless, and some is not")
  }

  @Test func `conditions find values by name`() throws {
    let m = try message(sample)
    #expect(value(m, "isValid") == .bool(true))
    #expect(value(m, "internalError") == .bool(false))
    #expect(value(m, "reg_type") == .text("OPENCRVS_NEW"))
    #expect(value(m, "source") == .null)
    #expect(value(m, "iteration") == .int(1))
    #expect(value(m, "retryCount") == .null)
    #expect(value(m, "tags.AGE_GROUP") == .text("INFANT"))
    #expect(value(m, "tags.NONE") == .absent)
    #expect(value(m, "messageBusAddress.address") == .text("packet-classifier-bus-in"))
    for name in ["", "tags", "rID", "messageBusAddress", "tag", "xxx"] { #expect(Message.Path(name) == nil) }
    #expect(value(m, "nothing") == .absent)
    let bare = try message(#"{"reg_type":"NEW","rid":"1"}"#)
    #expect(value(bare, "isValid") == .null)
    #expect(value(bare, "tags.AGE_GROUP") == .absent)
    #expect(value(bare, "messageBusAddress.address") == .absent)
    #expect(value(bare, "iteration") == .int(0))
    let address = try #require(Message.Path("messageBusAddress.address"))
    #expect(m.text(at: address, equals: Array("packet-classifier-bus-in".utf8)))
    #expect(!m.text(at: address, equals: Array("packet-classifier-bus-i".utf8)))
    #expect(!bare.text(at: address, equals: []))
    #expect(!m.text(at: try #require(Message.Path("isValid")), equals: Array("true".utf8)))
  }
}
