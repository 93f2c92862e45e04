import Postgres
import System

/// That the data of a registration were removed, by a person. Nothing runs it again: there is nothing left to run it with.
///
/// One row for each name it goes by: its RIDs, the application ids of its changes, and the work keys of all of them. None of them says who
/// the person is.
public struct Erased: Sendable, Hashable {
  /// The code of every refusal because of it.
  public static let code = "erased"

  /// The RID, AID or work key.
  public var name: String
  /// When.
  public var at: Instant
  /// Who.
  public var author: String

  /// A marker as it was read.
  public init(name: String, at: Instant, author: String) {
    self.name = name
    self.at = at
    self.author = author
  }

  /// `erased_objects` names containers of the object store that are still to be emptied: a row goes when its container is empty.
  static let table = """
    CREATE TABLE regproc.erased (
      name text PRIMARY KEY,
      subject text NOT NULL,
      erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      author text NOT NULL
    );
    CREATE INDEX erased_subject ON regproc.erased (subject);
    CREATE TABLE regproc.erased_objects (
      subject text NOT NULL,
      account text NOT NULL,
      container text NOT NULL,
      PRIMARY KEY (subject, account, container)
    );
    """

  /// Those of some names that were erased, the first that was first.
  /// - Throws: `PostgresError`.
  public static func among(_ names: [String], on connection: Connection) throws -> [Erased] {
    // By index erased_pkey.
    try connection.execute(
      "SELECT name, erased_at, author FROM regproc.erased WHERE name = ANY($1::text[]) ORDER BY erased_at, name",
      [.textArray(names)]
    ).map { Erased(name: try $0.text(0), at: try $0.instant(1), author: try $0.text(2)) }
  }

  /// Refuses what would run one of these again.
  /// - Throws: `LifecycleError` with the code `erased`, `PostgresError`.
  public static func refuse(_ names: [String?], on connection: Connection) throws {
    guard let erased = try among(names.compactMap { $0 }, on: connection).first else { return }
    throw LifecycleError(code: code, message: erased.words + ": nothing is left to run it with")
  }

  /// In a person's words.
  public var words: String { "\(name) was erased on \(at.iso) by \(author)" }
}
