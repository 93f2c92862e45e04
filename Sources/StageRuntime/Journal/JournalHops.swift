import Registration
import Postgres
import Routing

extension VerdictKind {
  /// Reads `regproc.hop.verdict`.
  init(stored text: String) throws {
    guard let known = VerdictKind(rawValue: text) else { throw PostgresError.unknownState(text, of: "regproc.hop.verdict") }
    self = known
  }
}

/// The journal as a source of hops for comparing route files.
public struct JournalHops: HopRecords {
  private let connection: Connection

  /// The journal on a connection.
  public init(_ connection: Connection) { self.connection = connection }

  /// Hops that were done since so many seconds ago, those that are alike together.
  public func done(since seconds: Int) throws -> [RecordedHops] {
    try connection.execute(
      """
      SELECT process, stage, verdict, destinations, count(DISTINCT rid) FROM regproc.hop
      WHERE state = 2 AND verdict IS NOT NULL AND destinations IS NOT NULL
        AND transaction_type IS DISTINCT FROM '\(PostgresSecondTries.transactionType)' AND done_at >= now() - make_interval(secs => $1::float8)
      GROUP BY process, stage, verdict, destinations ORDER BY process, stage, verdict, destinations
      """, [.text(String(seconds))]
    ).map { row in
      RecordedHops(
        process: try row.text(0), stage: try row.text(1), verdict: try VerdictKind(stored: try row.text(2)),
        destinations: try row.text(3), packets: try row.int(4))
    }
  }

  /// How many messages wait for, or are on their way to, each stage.
  public func open() throws -> [(process: String, stage: String, messages: Int)] {
    try connection.execute(
      "SELECT process, stage, count(*) FROM regproc.hop WHERE state < 2 GROUP BY process, stage ORDER BY process, stage"
    ).map { (try $0.text(0), try $0.text(1), try $0.int(2)) }
  }
}
