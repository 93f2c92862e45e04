import JSON
import Postgres
import Registration
import Routing
import StageKit
import System

/// What a reprocessor says of itself at each look, so that who asks for a registration can be told when its next try is due.
public struct SecondTryNotice: Sendable {
  private static let stage = "reprocessor"
  /// Seconds for which nothing must have happened.
  public let elapsedSeconds: Int
  private let attempts: Int
  /// The stages that something else runs: their processes; name and class name stand at the same place.
  public private(set) var processes: [String] = []
  /// Their names.
  public private(set) var stages: [String] = []
  /// Upstream's names of them.
  public private(set) var classNames: [String] = []

  static func write(
    _ rules: SecondTryRules, _ routes: RouteFile, _ directory: [String: StageDefinition], on connection: Connection
  ) throws {
    let document: JSONValue = [
      "elapsedSeconds": JSONValue(rules.elapsedSeconds), "attempts": JSONValue(rules.attempts),
      "every": JSONValue(rules.everySeconds),
      "elsewhere": .array(
        Elsewhere(routes, directory).places.map {
          ["process": .string($0.process), "stage": .string($0.stage), "class": .string($0.className)]
        }),
    ]
    _ = try connection.execute(
      """
      INSERT INTO regproc.stage_record AS s (stage, collection, key, version, document) VALUES ($1, 'rules', 'now', 1, $2::jsonb)
      ON CONFLICT (stage, collection, key) DO UPDATE SET document = excluded.document, version = s.version + 1, changed_at = now()
      """, [.text(stage), .text(String(decoding: document.encoded(), as: UTF8.self))])
  }

  /// Nil where none has looked for so long that none seems to run.
  public static func read(on connection: Connection) throws -> SecondTryNotice? {
    guard
      let row = try connection.execute(
        """
        SELECT document FROM regproc.stage_record WHERE stage = $1 AND collection = 'rules' AND key = 'now'
          AND changed_at > now() - make_interval(secs => 60 + 3 * (document->>'every')::int)
        """, [.text(stage)]
      ).first, let document = try? JSONValue.parse(Array(try row.text(0).utf8)), let elapsed = document["elapsedSeconds"]?.int,
      let attempts = document["attempts"]?.int
    else { return nil }
    var notice = SecondTryNotice(elapsedSeconds: elapsed, attempts: attempts)
    for place in document["elsewhere"]?.array ?? [] {
      guard let process = place["process"]?.string, let stage = place["stage"]?.string, let name = place["class"]?.string
      else { continue }
      notice.processes.append(process)
      notice.stages.append(stage)
      notice.classNames.append(name)
    }
    return notice
  }

  private init(elapsedSeconds: Int, attempts: Int) {
    (self.elapsedSeconds, self.attempts) = (elapsedSeconds, attempts)
  }

  /// A registration, as far as a second try depends on it.
  public struct Registration: Sendable {
    var process: String
    var status: RegistrationStatus
    var latest: String?
    var stageClass: String?
    var movedAt: Instant
    var tries: Int
    /// The stage of what is under way, and when it was sent; nil when nothing is.
    var open: (stage: String, sentAt: Instant?)?

    /// A registration.
    public init(
      process: String, status: RegistrationStatus, latest: String?, stageClass: String?, movedAt: Instant, tries: Int,
      open: (stage: String, sentAt: Instant?)?
    ) {
      (self.process, self.status, self.latest, self.stageClass) = (process, status, latest, stageClass)
      (self.movedAt, self.tries, self.open) = (movedAt, tries, open)
    }
  }

  /// When its next try is due; nil when none will be made.
  public func dueAt(_ registration: Registration) -> Instant? {
    let status = registration.status
    guard status.isKnown, !status.isPaused, !status.hasEnded else { return nil }
    if let open = registration.open {
      guard zip(processes, stages).contains(where: { $0 == registration.process && $1 == open.stage }),
        let sentAt = open.sentAt, registration.latest != TransactionStatus.reprocessFailed.rawValue
      else { return nil }
      return max(sentAt, registration.movedAt).advanced(bySeconds: Double(elapsedSeconds))
    }
    guard let name = registration.stageClass,
      zip(processes, classNames).contains(where: { $0 == registration.process && $1 == name }),
      SecondTryRules.statuses.contains(registration.latest ?? "")
    else { return nil }
    return registration.movedAt.advanced(bySeconds: Double(elapsedSeconds))
  }

  /// The number of the next try, and of the last.
  public func words(tries: Int) -> String {
    tries >= attempts ? "its tries are used up (\(attempts))" : "try \(tries + 1) of \(attempts)"
  }
}
