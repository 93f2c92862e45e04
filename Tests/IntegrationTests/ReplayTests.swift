import TestSupport
import StageKit
import StageRuntime
import Testing

@Suite(.serialized, .timeLimit(.minutes(30))) struct ReplayedBirthTests {
  @Test func `a replayed birth keeps its UIN and its one credential`() async throws {
    let stand = try await Stand()
    let answer = try await stand.send(birth("2024B000002"))
    #expect(answer.status == 200)
    #expect(try await eventually { stand.openCRVS.returned("2024B000002").token != nil })
    let first = stand.openCRVS.returned("2024B000002")
    let rid = try #require(first.rid)
    #expect(try await eventually { try await stand.journey(rid)?.status == "PROCESSED" })
    let uin = try await stand.platform.services.identities.identity(.rid(rid))?.uin
    let takers = Set(try Stand.stageFiles().map(\.name)).subtracting([
      "packet-receiver", "opencrvs-mediator", "mosip-mediator",
    ])
    let replay = Replay(routes: stand.engine.routes, stages: try Stand.stageFiles(), takesMessages: takers)
    await #expect(throws: LifecycleError.self) {
      try await stand.pool.with { try replay.start(rid: rid, from: nil, author: "t", reason: nil, on: $0) }
    }
    let started = try await stand.pool.with {
      try replay.start(rid: rid, from: nil, author: "t", reason: nil, isForced: true, on: $0)
    }
    #expect(started.stage == "securezone-notification")
    #expect(
      try await eventually {
        let journey = try await stand.journey(rid)
        return journey?.hasEnded == true && journey?.status == "PROCESSED"
      })
    let journey = try #require(try await stand.journey(rid))
    #expect(
      journey.hops.filter { $0.run == 2 }.map(\.stage) == [
        "securezone-notification", "packet-uploader", "packet-validator", "packet-classifier", "uin-generator",
        "finalization",
        "print", "opencrvs",
      ])
    #expect(journey.hops.allSatisfy { $0.verdict == "passed" })
    #expect(uin != nil)
    #expect(try await stand.platform.services.identities.identity(.rid(rid))?.uin == uin)
    #expect(try await stand.platform.services.identities.vids(uin: uin ?? "").count == 1)
    let requests = try await stand.pool.with {
      try $0.execute("SELECT count(*), count(DISTINCT credential_type) FROM platform.credential_request").map {
        (try $0.int(0), try $0.int(1))
      }
    }
    #expect(requests[0].0 == requests[0].1, "one request for each of print and opencrvs, and none more by the replay")
    #expect(stand.openCRVS.returned("2024B000002").token == first.token)
    let date = try await stand.pool.with {
      try $0.execute("SELECT pkt_cr_dtimes IS NOT NULL AND trn_retry_count = 0 FROM regprc.registration").first?.bool(0)
    }
    #expect(date == true, "the packet's own date is in MOSIP's table")
    await stand.stop()
  }
}
