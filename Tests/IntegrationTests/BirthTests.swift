import TestSupport
import StageRuntime
import Testing

@Suite(.serialized, .timeLimit(.minutes(30))) struct BirthTests {
  @Test func `a birth goes through all ten stages and its token comes back`() async throws {
    let stand = try await Stand()
    let answer = try await stand.send(birth("2024B000001"))
    #expect(answer.status == 200)
    let came = try await eventually { stand.openCRVS.returned("2024B000001").token != nil }
    let rid = stand.openCRVS.returned("2024B000001").rid ?? ""
    let journey = try await stand.journey(rid)
    #expect(
      came,
      "journey: \(String(describing: journey?.hops.map { "\($0.stage) \($0.state) \($0.verdict ?? "-") \($0.comment ?? "")" }))")
    #expect(
      journey?.hops.map(\.stage) == [
        "packet-receiver", "securezone-notification", "packet-uploader", "packet-validator", "packet-classifier",
        "uin-generator", "finalization", "print", "opencrvs",
      ])
    await stand.stop()
  }
}
