import JSON
import System
import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct WorkflowInternalActionTests {
  private let message = try! Message(
    process: "OPENCRVS_NEW", rid: "4545", isValid: false, internalError: false, messageBusAddress: "x",
    tags: ["a": "b"],
    lastHopTimestamp: Instant(milliseconds: 0), iteration: 1, workflowInstanceId: "5d0f")

  @Test func `a command has all fields of the DTO and no more`() throws {
    let action = WorkflowInternalAction(.completeAsFailed, for: message)
    let expected = #"""
      {"reg_type":"OPENCRVS_NEW","rid":"4545","isValid":null,"internalError":null,"messageBusAddress":null,
       "retryCount":null,"tags":null,"lastHopTimestamp":null,"source":null,"iteration":1,"workflowInstanceId":"5d0f",
       "actionCode":"COMPLETE_AS_FAILED",
       "actionMessage":"Packet processing completed with action code : COMPLETE_AS_FAILED","resumeTimestamp":null,
       "defaultResumeAction":null,"eventTimestamp":null,"matchedRuleIds":null,"additionalInfoProcess":null}
      """#
    #expect(try JSONValue.parse(action.encoded()) == JSONValue.parse(expected))
    #expect(try WorkflowInternalAction(decoding: action.encoded()) == action)
  }

  @Test(arguments: [
    (
      WorkflowActionCode.completeAsProcessed, "COMPLETE_AS_PROCESSED",
      "Packet processing completed with action code : COMPLETE_AS_PROCESSED"
    ),
    (
      .completeAsRejected, "COMPLETE_AS_REJECTED", "Packet processing completed with action code : COMPLETE_AS_REJECTED"
    ),
    (.markAsReprocess, "MARK_AS_REPROCESS", "Packet processing completed with action code : MARK_AS_REPROCESS"),
    (
      .pauseAndRequestAdditionalInfo, "PAUSE_AND_REQUEST_ADDITIONAL_INFO",
      "packet paused and request additional info"
    ),
    (.restartParentFlow, "RESTART_PARENT_FLOW", "Packet parent flow restart initiated"),
    (
      .completeAsRejectedWithoutParentFlow, "COMPLETE_AS_REJECTED_WITHOUT_PARENT_FLOW",
      "Packet processing completed with reject status without Parent flow"
    ), (.anonymousProfile, "ANONYMOUS_PROFILE", "Packet anonymous profile flow initiated"),
  ])
  func `each command has its code and its message`(command: WorkflowActionCode, code: String, text: String) throws {
    let json = try JSONValue.parse(WorkflowInternalAction(command, for: message).encoded())
    #expect(json["actionCode"]?.string == code)
    #expect(json["actionMessage"]?.string == text)
    #expect(WorkflowActionCode(actionCode: code) == command)
  }

  @Test func `a request for more information says until when and for what`() throws {
    let now = try #require(Instant(iso: "2025-12-23T16:24:54.120Z"))
    let action = WorkflowInternalAction.requestAdditionalInfo(
      for: message, process: "BIOMETRIC_CORRECTION", pauseFor: 1_296_000, now: now)
    let json = try JSONValue.parse(action.encoded())
    #expect(json["resumeTimestamp"] == "2026-01-07T16:24:54.120Z")
    #expect(json["eventTimestamp"] == "2025-12-23T16:24:54.120Z")
    #expect(json["defaultResumeAction"] == "STOP_PROCESSING")
    #expect(json["additionalInfoProcess"] == "BIOMETRIC_CORRECTION")
    #expect(json["matchedRuleIds"] == .null)
    #expect(try WorkflowInternalAction(decoding: action.encoded()) == action)
  }

  @Test func `a pause by rule names the rules`() throws {
    let action = WorkflowInternalAction.pause(
      for: message, rules: [("A", "first"), ("B", "second")], pauseFor: 180, defaultResumeAction: .resumeProcessing,
      now: Instant(milliseconds: 0))
    let json = try JSONValue.parse(action.encoded())
    #expect(json["actionCode"] == "MARK_AS_PAUSED")
    #expect(json["actionMessage"] == "Packet paused because of pause settings match(first,second)")
    #expect(json["matchedRuleIds"] == ["A", "B"])
    #expect(json["resumeTimestamp"] == "1970-01-01T00:03:00.000Z")
    #expect(try WorkflowInternalAction(decoding: action.encoded()) == action)
  }

  @Test(
    arguments: [
      (#""actionCode":null"#, .missing, "actionCode"), (#""actionCode":"X""#, .wrongType, "actionCode"),
      (#""actionCode":"MARK_AS_PAUSED","resumeTimestamp":"now""#, .wrongType, "resumeTimestamp"),
      (#""actionCode":"MARK_AS_PAUSED","matchedRuleIds":[1]"#, .wrongType, "matchedRuleIds"),
      (#""actionCode":"MARK_AS_PAUSED","defaultResumeAction":"X""#, .wrongType, "defaultResumeAction"),
    ] as [(String, MessageError.Code, String)])
  func `a record that is no command is refused`(members: String, code: MessageError.Code, field: String) {
    let text = #"{"reg_type":"NEW","rid":"1","# + members + "}"
    let error = #expect(throws: MessageError.self) { try WorkflowInternalAction(decoding: Array(text.utf8)) }
    #expect(error?.code == code)
    #expect(error?.field == field)
  }
}
