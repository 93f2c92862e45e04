import Registration
import System

/// What a stage says of a message.
///
/// The kind decides the flags on the bus (passed T/F, failed F/F, retry T/T, error F/T) and the way in the route file; the codes and the
/// comment go to the journal and MOSIP's tables (docs/upstream/stages.md#0-rules-common-to-all-stages and 13).
public struct Verdict: Sendable, Equatable {
  /// passed, failed (business, terminal), retry, or error (technical, terminal).
  public var kind: VerdictKind
  /// MOSIP's transaction status of this verdict.
  public var statusCode: TransactionStatus
  /// MOSIP's sub status, e.g. `RPR-PKV-SUCCESS-001`; at most 36 characters.
  public var subStatusCode: String
  /// A sentence for a person; no personal data. Cut to 256 characters, the width of upstream's column.
  public var comment: String
  /// Tags to set on the packet; later stages and the route's conditions see them.
  public var tags: [String: String]
  /// What the verdict refers to, e.g. a credential request's id (`ref_id`); the RID when nil.
  public var referenceId: String?
  /// When the packet was made, where the stage has read it (`registration.pkt_cr_dtimes`); nil leaves the column as it is.
  public var packetCreatedAt: Instant?
  /// Whether this hop counts as one more try of the packet as a whole (`registration.trn_retry_count`): the count behind
  /// MOSIP's RESEND and its limit (docs/upstream/stages.md#16-status-by-rid-and-external-status).
  public var countsAsPacketTry = false
  /// Changes of the stage's own records, its durable work and records for further topics, which are committed with the verdict or not at all:
  /// a message that comes again finds both or neither.
  public var changes: [StageChange] = []

  /// A verdict in full.
  public init(
    _ kind: VerdictKind, status: TransactionStatus, subStatus: String, comment: String, tags: [String: String] = [:],
    referenceId: String? = nil
  ) {
    self.kind = kind
    self.statusCode = status
    self.subStatusCode = subStatus
    self.comment = comment.utf8.count <= 256 ? comment : String(comment.prefix(256))
    self.tags = tags
    self.referenceId = referenceId
  }

  /// The same verdict, with further changes that are committed with it. Where one conflicts with what is stored, the stage is asked again; where
  /// it conflicts once more, the message is tried again later, as after an error of the stage.
  public func changing(_ changes: [StageChange]) -> Verdict {
    var verdict = self
    verdict.changes += changes
    return verdict
  }

  /// The message goes on: T/F, SUCCESS unless another status is named.
  public static func passed(
    _ subStatus: String, _ comment: String, status: TransactionStatus = .success, tags: [String: String] = [:],
    referenceId: String? = nil
  ) -> Verdict {
    Verdict(.passed, status: status, subStatus: subStatus, comment: comment, tags: tags, referenceId: referenceId)
  }

  /// A business failure, terminal: F/F, FAILED unless another status is named.
  public static func failed(_ subStatus: String, _ comment: String, status: TransactionStatus = .failed) -> Verdict {
    Verdict(.failed, status: status, subStatus: subStatus, comment: comment)
  }

  /// Try again later: T/T, REPROCESS.
  public static func retry(_ subStatus: String, _ comment: String) -> Verdict {
    Verdict(.retry, status: .reprocess, subStatus: subStatus, comment: comment)
  }

  /// A technical failure, terminal: F/T, ERROR unless another status is named.
  public static func error(_ subStatus: String, _ comment: String, status: TransactionStatus = .error) -> Verdict {
    Verdict(.error, status: status, subStatus: subStatus, comment: comment)
  }
}

/// MOSIP's status of one transaction (`registration.latest_trn_status_code`, docs/upstream/stages.md#13-code-lists).
public enum TransactionStatus: String, Sendable, CaseIterable {
  /// The stage did its work.
  case success = "SUCCESS"
  /// A business check failed.
  case failed = "FAILED"
  /// An answer from outside is awaited.
  case inProgress = "IN_PROGRESS"
  /// A technical failure that is not tried again.
  case error = "ERROR"
  /// To be tried again.
  case reprocess = "REPROCESS"
  /// The stage did its work and it was the last word on the packet.
  case processed = "PROCESSED"
  /// Rejected, e.g. a duplicate.
  case rejected = "REJECTED"
  /// Under way.
  case processing = "PROCESSING"
  /// Tried until the tries were used up.
  case reprocessFailed = "REPROCESS_FAILED"
}
