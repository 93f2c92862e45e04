import TestSupport
import Postgres
import StandIn
import System
import Testing

/// What became of births, as the database of a pipeline and OpenCRVS know it.
struct Outcome: Sendable {
  /// RIDs of all registrations.
  var rids: [String] = []
  /// Hash of the UIN by RID, of identities.
  var uins: [String: String] = [:]
  /// Credentials by RID and issuer: more than one for a pair is one too many.
  var credentials: [String: Int] = [:]
  /// Messages on their way.
  var openHops = 0
  /// Hops that were tried, by RID and stage: verdicts in order.
  var verdicts: [String: [String: [String]]] = [:]
  /// The instances that judged, by stage.
  var instances: [String: Set<String>] = [:]
  /// What stages said that did not let a message pass.
  var remarks: [String] = []
  /// Durable work that is not done and is due by now, leaving out subscriptions and looks, which stay.
  var openWork: [String] = []
  var deadLetters: [String] = []
  /// Rows with a verdict for one and the same message: must stay empty.
  var doubleHops: [String] = []

  /// Reads everything at once.
  static func read(_ database: PostgresSettings) async throws -> Outcome {
    let pool = BlockingPool(name: "outcome", threads: 1)
    defer { pool.close() }
    return try await pool.run {
      let connection = try Connection(database)
      defer { connection.close() }
      var out = Outcome()
      out.rids = try connection.execute("SELECT DISTINCT reg_id FROM regprc.registration ORDER BY 1", []).map {
        try $0.text(0)
      }
      for row in try connection.execute("SELECT rid, encode(uin_hash, 'hex') FROM platform.identity_rid", []) {
        out.uins[try row.text(0)] = try row.text(1)
      }
      for row in try connection.execute(
        "SELECT idempotency_key, count(*)::int FROM platform.credential_request GROUP BY 1", [])
      {
        out.credentials[try row.text(0)] = try row.int(1)
      }
      out.openHops = try connection.execute("SELECT count(*)::int FROM regproc.hop WHERE state < 2", []).map {
        try $0.int(0)
      }[0]
      for row in try connection.execute(
        "SELECT rid, stage, verdict, comment FROM regproc.hop WHERE state = 2 ORDER BY done_at", [])
      {
        out.verdicts[try row.text(0), default: [:]][try row.text(1), default: []].append(try row.textOrNull(2) ?? "-")
        if try row.textOrNull(2) != "passed" {
          out.remarks.append("\(try row.text(1)): \(try row.textOrNull(3) ?? "-")")
        }
      }
      for row in try connection.execute("SELECT DISTINCT stage, worker FROM regproc.hop WHERE state = 2", []) {
        out.instances[try row.text(0), default: []].insert(try row.textOrNull(1) ?? "-")
      }
      out.openWork = try connection.execute(
        """
        SELECT stage, kind, key, coalesce(failure, '') FROM regproc.work
        WHERE state = 0 AND kind NOT LIKE 'subscri%' AND kind <> 'answer' AND NOT (stage = 'reprocessor' AND kind = 'look')
        """,
        []
      ).map { "\(try $0.text(0)) \(try $0.text(1)) \(try $0.text(2)) \(try $0.text(3))" }
      out.deadLetters = try connection.execute("SELECT stage, code, reason FROM regproc.dead_letter", []).map {
        "\(try $0.text(0)) \(try $0.text(1)) \(try $0.text(2))"
      }
      out.doubleHops = try connection.execute(
        "SELECT rid || ' ' || stage FROM regproc.hop WHERE state = 2 GROUP BY rid, stage, run, try HAVING count(*) > 1",
        []
      ).map { try $0.text(0) }
      return out
    }
  }

  /// Expects every birth to have ended exactly once: one RID, one UIN, one token each, and nothing left on its way.
  /// - Parameters:
  ///   - failedBefore: registration numbers of births that failed first, as OpenCRVS was told, and were replayed.
  ///   - perhapsBefore: those of which OpenCRVS may have been told so, or not.
  ///   - changes: the application ids of changes that came of these births, which may be registrations and lead to the identities too.
  func expectEachOnce(
    _ births: [SampleBirths.Birth], at standIn: StandInOpenCRVS, failedBefore: Set<String> = [],
    perhapsBefore: Set<String> = [], changes: Set<String> = [], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let returned = births.map { standIn.returned($0.registrationNumber) }
    for (birth, mine) in zip(births, returned) {
      #expect(Set(mine.tokens).count == 1, "\(birth.registrationNumber) \(mine.errors)", sourceLocation: sourceLocation)
      #expect(Set(mine.rids).count == 1, "\(birth.registrationNumber)", sourceLocation: sourceLocation)
      if !perhapsBefore.contains(birth.registrationNumber) {
        #expect(
          mine.errors.isEmpty != failedBefore.contains(birth.registrationNumber), "\(birth.registrationNumber) \(mine.errors)",
          sourceLocation: sourceLocation)
      }
    }
    #expect(
      Set(returned.compactMap(\.token)).count == births.count, "no two births share a token",
      sourceLocation: sourceLocation)
    let own = Set(returned.compactMap(\.rid))
    #expect(own.count == births.count, sourceLocation: sourceLocation)
    #expect(Set(rids).subtracting(changes) == own, sourceLocation: sourceLocation)
    #expect(Set(uins.keys).subtracting(changes) == own, sourceLocation: sourceLocation)
    #expect(Set(uins.values).count == births.count, "no two RIDs share a UIN", sourceLocation: sourceLocation)
    #expect(doubleHops.isEmpty, sourceLocation: sourceLocation)
    #expect(deadLetters.isEmpty, sourceLocation: sourceLocation)
    // print and opencrvs request one credential each of a RID: the key names both.
    let requested = credentials.keys.filter { key in own.contains { key.contains($0) } }
    #expect(requested.count == 2 * births.count, "\(requested.sorted().prefix(4))", sourceLocation: sourceLocation)
    #expect(credentials.values.allSatisfy { $0 == 1 }, sourceLocation: sourceLocation)
  }

  /// Whether nothing is on its way any more.
  var isAtRest: Bool { openHops == 0 && openWork.isEmpty }

  /// Reads until nothing is on its way, for as long as a busy machine may need.
  static func atRest(_ database: PostgresSettings) async throws -> Outcome {
    var last = Outcome()
    _ = try await eventually {
      last = try await read(database)
      return last.isAtRest
    }
    return last
  }
}
