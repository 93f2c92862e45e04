import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct BusNamesTests {
  @Test func `topics are named as MOSIP's stages name them`() {
    #expect(Topic.busIn("packet-validator") == "packet-validator-bus-in")
    #expect(Topic.busOut("packet-validator", process: "OPENCRVS_NEW") == "packet-validator-opencrvs_new-bus-out")
    #expect(
      Topic.resolve("packet-validator-bus-out", process: "OPENCRVS_NEW") == "packet-validator-opencrvs_new-bus-out")
    #expect(Topic.resolve("c-m-d-validator-bus-out", process: "NEW") == "c-m-d-validator-new-bus-out")
    #expect(Topic.resolve("packet-validator-bus-in", process: "NEW") == "packet-validator-bus-in")
    #expect(Topic.resolve("workflow-internal-action", process: "NEW") == Topic.workflowInternalAction)
    #expect(Topic.resolve("bus-out", process: "NEW") == "new-bus-out")
  }

  @Test(arguments: [
    ("CMDValidatorStage", "c-m-d-validator"), ("AbisMiddleWareStage", "abis-middle-ware"),
    ("PacketReceiverStage", "packet-receiver"), ("UinGeneratorStage", "uin-generator"), ("OpencrvsStage", "opencrvs"),
  ])
  func `a Java stage's class name gives its topics`(name: String, prefix: String) {
    #expect(Topic.prefix(ofStageClass: name) == prefix)
  }

  @Test func `keys are composed as MOSIP 1.3 composes them`() {
    let key = RecordKey.composite(
      rid: "100", busOutTopic: "packet-validator-opencrvs_new-bus-out", address: "packet-validator-bus-in")
    #expect(key == "100_packet-validator-opencrvs_new-bus-out_packet-validator-bus-in")
    #expect(
      RecordKey.composite(
        rid: "100", topicPrefix: "packet-validator", process: "OPENCRVS_NEW", address: "packet-validator-bus-in") == key)
    #expect(RecordKey.composite(rid: "100", busOutTopic: "t", address: nil) == "100_t")
    #expect(RecordKey.workflow(incomingKey: key, command: .completeAsFailed) == key + "_complete_as_failed")
  }

  @Test func `a trace goes on from record to record`() throws {
    var random = SystemRandomNumberGenerator()
    let first = TraceContext.start(using: &random)
    #expect(first.traceId.utf8.count == 32 && first.spanId.utf8.count == 16)
    let read = try #require(TraceContext(header: first.header))
    #expect(read == first)
    let next = read.next(using: &random)
    #expect(next.traceId == first.traceId && next.spanId != first.spanId)
    #expect(TraceContext(header: "80f198ee56343ba8-e457b5a2e4d86bd1")?.traceId == "80f198ee56343ba8")
    #expect(TraceContext(header: first.header + "-1-05e3ac9a4f6e3b90") == first)
  }

  @Test(arguments: [
    "", "0", "-", "80f198ee56343ba8", "80f198ee56343ba8-", "80F198EE56343BA8-e457b5a2e4d86bd1",
    "80f198ee56343ba8-e457b5a2e4d86bd", "0000000000000000-e457b5a2e4d86bd1", "80f198ee56343ba8-0000000000000000",
    "80f198ee56343ba-e457b5a2e4d86bd1", "80f198ee56343bag-e457b5a2e4d86bd1",
  ])
  func `a header that is no trace is none`(header: String) { #expect(TraceContext(header: header) == nil) }
}
