import JSON
import Postgres
import System

/// Births of different registration numbers whose events speak of one child: the same names, day of birth and gender, and no two mothers whose
/// names differ. They are told to people and never merged: a registry may have taken one birth twice, or two children may be so alike.
///
/// The mediator of MOSIP's side keeps keyed hashes for it with each birth that it takes; births of earlier versions have none.
public struct AlikeBirths: Sendable {
  /// So many births are told at the most.
  public static let most = 1000

  /// Each with two births or more, the earliest first. Of births that differ in the mother, one whose mother is not known stands with each.
  public var groups: [[Outcome]]
  /// Whether there are more than `most`.
  public var isCut: Bool

  /// An index by which a birth's like are found.
  static let index = """
    CREATE INDEX birth_likeness ON regproc.stage_record ((document->>'likeness'))
      WHERE stage = 'mosip-mediator' AND collection = 'birth_likenesses';
    """

  /// Reads the groups of which at least one birth arrived between two moments.
  static func read(from: Instant, to: Instant, on connection: Connection) throws -> AlikeBirths {
    var rows = try connection.execute(candidates, [.timestamp(from), .timestamp(to), .int(most + 1)]).map {
      Candidate(key: try $0.text(0), likeness: try $0.text(1), mother: try $0.textOrNull(2))
    }
    let isCut = rows.count > most
    rows = Array(rows.prefix(most))
    guard !rows.isEmpty else { return AlikeBirths(groups: [], isCut: false) }
    let outcomes = Dictionary(
      try connection.execute(Outcome.select(where: "seen.key = ANY($1::text[])"), [.textArray(rows.map(\.key))])
        .map { (try $0.text(0), try Outcome.read($0)) }
    ) { first, _ in first }
    let groups = Dictionary(grouping: rows, by: \.likeness).values.flatMap(Self.byMother)
      .map { $0.compactMap { outcomes[$0.key] }.sorted { order($0) < order($1) } }
      .filter { births in
        Set(births.map(\.number)).count > 1 && births.contains { birth in birth.at.map { $0 >= from && $0 < to } ?? false }
      }
    return AlikeBirths(
      groups: groups.sorted { $0.map(order).lexicographicallyPrecedes($1.map(order)) { $0 < $1 } }, isCut: isCut)
  }

  struct Candidate: Sendable, Equatable {
    var key: String
    var likeness: String
    /// Nil for a mother who is not known.
    var mother: String?
  }

  /// Births of one likeness, parted by the mothers that are known.
  static func byMother(_ births: [Candidate]) -> [[Candidate]] {
    let mothers = Set(births.compactMap(\.mother)).sorted()
    return mothers.isEmpty ? [births] : mothers.map { mother in births.filter { $0.mother == nil || $0.mother == mother } }
  }

  private static func order(_ birth: Outcome) -> (Instant, String) {
    (birth.at ?? Instant(milliseconds: 0), birth.number ?? "")
  }

  /// Births that have their like and of whose likeness one was seen between two moments. Those whose like all have other mothers are none. OFFSET 0
  /// keeps the planner, which knows little of what is in a document, from reading all births for those of a day.
  private static let candidates = """
    SELECT key, likeness, mother FROM (
      SELECT other.key, day.likeness, other.mother, count(*) OVER alike AS births, count(other.mother) OVER alike AS mothers,
        count(*) OVER (PARTITION BY day.likeness, other.mother) AS siblings
      FROM (
        SELECT DISTINCT own.document->>'likeness' AS likeness
        FROM (
          SELECT DISTINCT seen.key FROM regproc.stage_record AS seen
          WHERE seen.collection IN ('events', 'birth_transactions', 'change_transactions')
            AND seen.stage IN ('opencrvs-mediator', 'mosip-mediator') AND seen.created_at >= $1 AND seen.created_at < $2
        ) AS arrived
        JOIN regproc.stage_record AS own
          ON own.stage = 'mosip-mediator' AND own.collection = 'birth_likenesses' AND own.key = arrived.key
      ) AS day
      CROSS JOIN LATERAL (
        SELECT key, document->>'motherLikeness' AS mother FROM regproc.stage_record
        WHERE stage = 'mosip-mediator' AND collection = 'birth_likenesses' AND document->>'likeness' = day.likeness OFFSET 0
      ) AS other
      WINDOW alike AS (PARTITION BY day.likeness)
    ) AS found
    WHERE CASE WHEN mother IS NULL THEN births > 1 ELSE siblings > 1 OR births > mothers END
    ORDER BY likeness, key LIMIT $3
    """

  /// As JSON: a list of groups, each a list of births.
  var json: JSONValue { .array(groups.map { .array($0.map(\.json)) }) }
}
