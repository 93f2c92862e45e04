import Registration
import Testing

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct UpstreamRouteTests {
  /// mosip-config's own OPENCRVS_NEW (docs/upstream/bus-and-routes.md#9-the-shipped-route-of-opencrvs_new), said in this format.
  static let file = """
    version: 1
    flows:
      OPENCRVS_NEW:
        on:
          failed: [complete-as-failed, anonymous-profile]
          error: [complete-as-failed, anonymous-profile]
          retry: mark-as-reprocess
        route:
          - packet-classifier:
              next:
                - { when: { tags.AGE_GROUP: [INFANT, MINOR], tags.INTRODUCER_AVAILABILITY: "true" }, to: introducer-validator }
                - to: demo-dedupe
          - introducer-validator
          - demo-dedupe:
              failed: [complete-as-rejected, anonymous-profile]
              next:
                - { when: { tags.AGE_GROUP: INFANT }, to: verification }
                - when: { tags.EXCEPTION_BIOMETRICS: "LL,LR", isValid: true, internalError: false }
                  to: verification
                - when: { tags.EXCEPTION_BIOMETRICS: { not: "LL,LR" }, isValid: true, internalError: false }
                  to: uin-generator
                - to: [complete-as-failed, anonymous-profile]
          - verification
          - uin-generator: { passed: complete-as-processed }
    """

  @Test func `the route of upstreams own file can be said without an error`() throws {
    let reading = read(Self.file, .registrationProcessor)
    #expect(reading.problems.map(\.code) == ["stage-unaccounted"], "\(reading.report())")
    let file = try #require(reading.file)
    func decide(_ verdict: VerdictKind?, _ message: TestMessage) throws -> [String] {
      try file.decide(process: "OPENCRVS_NEW", after: "demo-dedupe", verdict: verdict, message: message)
        .destinations.map(\.description)
    }
    let passed: [String: FieldValue] = ["isValid": .bool(true), "internalError": .bool(false)]
    #expect(try decide(.passed, TestMessage(tags: ["AGE_GROUP": "INFANT"], fields: passed)) == ["verification"])
    #expect(
      try decide(.passed, TestMessage(tags: ["EXCEPTION_BIOMETRICS": "LL,LR"], fields: passed)) == ["verification"])
    #expect(try decide(.passed, TestMessage(tags: [:], fields: passed)) == ["uin-generator"])
    #expect(try decide(.failed, TestMessage()) == ["complete-as-rejected", "anonymous-profile"])
    // A message of the reprocessor has no internalError and so drops to the last branch.
    let replayed: [String: FieldValue] = ["isValid": .bool(true), "internalError": .null]
    #expect(try decide(nil, TestMessage(fields: replayed)) == ["complete-as-failed", "anonymous-profile"])
  }
}
