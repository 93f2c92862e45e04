import Postgres

/// How the journal knows the hop of a stage that runs elsewhere. Such a stage does not hand our hop id on, so its answer is a record with an
/// id of its own (`HopId.foreign`). The row of the hop that was sent to it takes that id over: one hop stays one row, and a
/// record that is delivered again is known.
enum BridgeJournal {
  /// A message that a stage elsewhere has judged.
  struct Answer: Sendable {
    var id: HopId
    var rid: String
    var process: String
    var iteration: Int
    var stage: String
  }

  /// What the journal knows of the hop that an answer ends.
  struct Place: Sendable, Equatable {
    /// The run that the answer belongs to.
    var run: Int
    /// The try that it answers.
    var attempt: Int
    /// The hop was ended by a newer run meanwhile: the answer comes too late and leads nowhere.
    var isSuperseded = false
  }

  /// Finds the places of answers that are not in the journal yet, in their order, and hands the rows over; nil for an answer to no hop of ours.
  /// The caller holds the RIDs' locks.
  static func take(_ answers: [Answer], on connection: Connection) throws -> [Place?] {
    guard !answers.isEmpty else { return [] }
    let rows = try connection.execute(
      """
      SELECT h.hop_id::text, h.run, h.try, h.state
      FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) WITH ORDINALITY AS d(rid, process, iteration, stage, n)
      LEFT JOIN LATERAL (
        SELECT hop_id, run, try, state FROM regproc.hop WHERE rid = d.rid AND process = d.process AND iteration = d.iteration
          AND stage = d.stage ORDER BY state < 2 DESC, run DESC, decided_at DESC LIMIT 1) AS h ON true
      ORDER BY d.n
      """,
      [
        .textArray(answers.map(\.rid)), .textArray(answers.map(\.process)), .intArray(answers.map(\.iteration)),
        .textArray(answers.map(\.stage)),
      ])
    var (olds, news): ([String], [String]) = ([], [])
    var handed: Set<String> = []
    var places: [Place?] = []
    for (answer, row) in zip(answers, rows) {
      var place: Place?
      // 2 is a hop that has its answer: this is another one, as after a retry that upstream's reprocessor made.
      if let old = try row.textOrNull(0), try row.int(3) != 2, handed.insert(old).inserted {
        place = Place(run: try row.int(1), attempt: try row.int(2), isSuperseded: try row.int(3) == 3)
        if old != answer.id.text {
          olds.append(old)
          news.append(answer.id.text)
        }
      }
      places.append(place)
    }
    if !olds.isEmpty {
      _ = try connection.execute(
        """
        UPDATE regproc.hop AS h SET hop_id = d.new, sent_as = d.old FROM unnest($1::uuid[], $2::uuid[]) AS d(old, new)
        WHERE h.hop_id = d.old AND NOT EXISTS (SELECT 1 FROM regproc.hop AS o WHERE o.hop_id = d.new)
        """, [.textArray(olds), .textArray(news)])
    }
    return places
  }

  /// The versions of the route file by which hops were decided that led somewhere.
  static func digests(_ hops: Set<HopId>, on connection: Connection) throws -> [HopId: String] {
    guard !hops.isEmpty else { return [:] }
    var digests: [HopId: String] = [:]
    for row in try connection.execute(
      """
      SELECT hop_id::text, route_digest FROM regproc.hop
      WHERE hop_id = ANY($1::uuid[]) AND state = 2 AND route_digest IS NOT NULL AND destinations <> 'dead letter'
      """, [.textArray(hops.map(\.text))])
    {
      if let id = HopId(text: try row.text(0)) { digests[id] = try row.text(1) }
    }
    return digests
  }
}
