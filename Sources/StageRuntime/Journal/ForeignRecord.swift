import Postgres
import Registration

/// A record without a hop of ours: a stage, a bridge or a reprocessor of others wrote it. Its bytes say nothing of whether it is new, since
/// MOSIP's reprocessor repeats a message with a fresh time in it; what the journal knows of its place does.
struct ForeignRecord: Sendable, Hashable {
  var rid: String
  var process: String
  var iteration: Int
  /// The stage that is to judge it, or, for the bridge, that has judged it.
  var stage: String

  /// `process` where the topic says it and not the message.
  init(_ message: Message, process: String? = nil, stage: String) {
    (rid, iteration) = (message.rid, message.iteration)
    self.process = process ?? message.process
    self.stage = stage
  }

  /// What the journal knows of the packet and the stage, in the packet's newest run.
  struct Place: Sendable, Equatable {
    var run = 1
    /// The stage's last try in this run; 0 when it has none.
    var lastTry = 0
    /// The stage's hops that have their verdict.
    var done: [HopId] = []
    /// A hop of the stage waits or is on the bus.
    var isOpen = false
    var lastVerdict: String?
    /// Any hop of the run waits or is on the bus.
    var isUnderWay = false
    /// The stages to which messages were sent, and not taken, after this stage took its last one.
    var sentSince: [String] = []
    /// `registration.status_code`; nil without a row.
    var status: RegistrationStatus?
    /// The reprocessor has sent the stage its message again in this run: it may answer more than once.
    var wasSentAgain = false

    /// The try that a record of this place is.
    var nextTry: Int { lastVerdict == "retry" ? lastTry + 1 : 1 }

    /// Whether the registration has come to its end, which only a replay undoes.
    var hasEnded: Bool { status?.hasEnded == true }

    /// Whether a record that is no answer to a hop of ours repeats what is known: its message is not worked on again.
    ///
    /// `leadsBack` says whether something else runs a stage from which the flow comes back to this one; `isAnswer` that the stage has judged it.
    func isRepeat(isAnswer: Bool = false, leadsBack: (String) -> Bool) -> Bool {
      if hasEnded { return true }
      if lastTry == 0 || lastVerdict == "retry" { return false }
      // A flow may go round, as between ABIS stages: over another bridge the answer of one that was asked since comes without a hop of ours.
      if isUnderWay { return !sentSince.contains(where: leadsBack) }
      // Of the answers to what was sent twice one counts; one that comes after all tries were used up is the first.
      if isAnswer, wasSentAgain, status != .resumable { return !(lastVerdict == "error" && status == .reprocessFailed) }
      // Nothing is under way and it has not ended: it stands here, and whoever sends this makes it go on, as upstream's engine does after a
      // pause. One that is still paused, or of which nobody knows how it ended, is not touched.
      return status.map { $0.isPaused || !$0.isKnown } ?? true
    }
  }
}

extension Journal {
  /// Finds the places of foreign records, in their order; made to run behind the statement that locks their RIDs.
  static func places(of records: [ForeignRecord]) -> Statement {
    Statement(
      """
      SELECT coalesce(m.run, 1), coalesce(s.last_try, 0), s.done, coalesce(s.open, 0), s.verdict, coalesce(m.open, 0), o.stages, r.status_code,
        coalesce(s.again, false)
      FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) WITH ORDINALITY AS d(rid, process, iteration, stage, n)
      LEFT JOIN LATERAL (
        SELECT run, count(*) FILTER (WHERE state < 2) AS open FROM regproc.hop
        WHERE rid = d.rid AND process = d.process AND iteration = d.iteration GROUP BY run ORDER BY run DESC LIMIT 1) AS m ON true
      LEFT JOIN LATERAL (
        SELECT max(try) AS last_try, count(*) FILTER (WHERE state < 2) AS open, max(taken_at) AS taken_at,
          string_agg(hop_id::text, ',') FILTER (WHERE state = 2) AS done,
          bool_or(state = 2 AND transaction_type = '\(PostgresSecondTries.transactionType)') AS again,
          (array_agg(verdict ORDER BY done_at DESC, try DESC) FILTER (WHERE state = 2))[1] AS verdict
        FROM regproc.hop
        WHERE rid = d.rid AND process = d.process AND iteration = d.iteration AND stage = d.stage AND run = m.run) AS s ON true
      LEFT JOIN LATERAL (
        SELECT string_agg(stage, ',') AS stages FROM regproc.hop
        WHERE rid = d.rid AND process = d.process AND iteration = d.iteration AND run = m.run AND state = 1 AND sent_at > s.taken_at) AS o
        ON true
      LEFT JOIN LATERAL (
        SELECT status_code FROM regprc.registration
        WHERE reg_id = d.rid AND process = d.process AND coalesce(iteration, 1) = d.iteration ORDER BY cr_dtimes DESC LIMIT 1) AS r ON true
      ORDER BY d.n
      """,
      [
        .textArray(records.map(\.rid)), .textArray(records.map(\.process)), .intArray(records.map(\.iteration)),
        .textArray(records.map(\.stage)),
      ])
  }

  static func place(_ row: Row) throws -> ForeignRecord.Place {
    let names = { (text: String?) in text.map { $0.split(separator: ",").map(String.init) } ?? [] }
    return ForeignRecord.Place(
      run: try row.int(0), lastTry: try row.int(1), done: try names(row.textOrNull(2)).compactMap { HopId(text: $0) },
      isOpen: try row.int(3) > 0, lastVerdict: try row.textOrNull(4), isUnderWay: try row.int(5) > 0,
      sentSince: try names(row.textOrNull(6)), status: try row.textOrNull(7).map { RegistrationStatus(rawValue: $0) },
      wasSentAgain: try row.bool(8))
  }

  /// What hops sent and nobody has taken: to be sent again under the same ids.
  static func outstanding(of hops: some Collection<HopId>, _ connection: Connection) throws -> [OutgoingHop] {
    guard !hops.isEmpty else { return [] }
    return try connection.execute(
      """
      SELECT hop_id::text, parent::text, run, try, stage, topic, record_key, message, trace::text FROM regproc.hop
      WHERE parent = ANY($1::uuid[]) AND state = 1
      """, [.textArray(hops.map(\.text))]
    ).map(outgoing)
  }
}
