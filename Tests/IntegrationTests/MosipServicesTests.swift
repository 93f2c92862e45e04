import TestSupport
import HTTP
import StageRuntime
import StandIn
import Testing

@Suite(.serialized, .timeLimit(.minutes(30))) struct MosipServicesTests {
  @Test func `births go through all stages on MOSIPs services also when these are in trouble for a while`() async throws {
    let stand = try await Stand(onMosip: true)
    let mosip = try #require(stand.mosip)
    // Answers that are lost after the work was done, errors of gateways, tokens that end.
    for endpoint in ["/draft/create/", "/draft/update/", "/draft/publish/", "/v2/requestgenerator/"] {
      mosip.next(endpoint, .lose(.text("", status: 504)))
    }
    for endpoint in ["/searchFields", "/addOrUpdateTag", "/decrypt", "/idvid/"] {
      mosip.next(endpoint, .answer(.text("", status: 503)))
    }
    let numbers = (1...3).map { "2024B00001\($0)" }
    for number in numbers {
      let answer = try await stand.send(birth(number, given: "Amina \(number)"))
      #expect(answer.status == 200)
    }
    _ = try await eventually { mosip.count("/searchFields") > 0 }
    mosip.expireTokens()
    let came = try await eventually(within: .seconds(180)) { numbers.allSatisfy { stand.openCRVS.returned($0).token != nil } }
    var journeys: [String] = []
    for number in numbers {
      let journey = try await stand.journey(stand.openCRVS.returned(number).rid ?? "")
      journeys += journey?.hops.map { "\($0.stage) \($0.state) \($0.verdict ?? "-") \($0.comment ?? "")" } ?? []
    }
    #expect(came, "\(journeys)")
    // One UIN and one VID for each, whatever was lost.
    let given = try await stand.pool.with { connection in
      try connection.execute(
        """
        SELECT (SELECT count(*)::int FROM platform.uin WHERE NOT is_free), (SELECT count(*)::int FROM platform.vid WHERE NOT is_free),
          (SELECT count(*)::int FROM platform.identity), (SELECT count(*)::int FROM platform.credential_request WHERE issuer = 'opencrvs-partner')
        """
      ).map { [try $0.int(0), try $0.int(1), try $0.int(2), try $0.int(3)] }
    }
    #expect(given == [[3, 3, 3, 3]])
    #expect(mosip.count("/draft/publish/") >= 3 && mosip.count("/cssign") >= 3 && mosip.count("/tokenid/") >= 3)
    await stand.stop()
  }
}
