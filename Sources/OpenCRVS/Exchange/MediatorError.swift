import StageKit
import System

/// What a mediator refuses or cannot do, by the codes of docs/upstream/opencrvs-and-websub.md#32-error-codes. Its text names no person and
/// no value of an event.
package struct MediatorError: PlainError, Sendable, Equatable {
  /// What went wrong; the raw value is the code that the other side is told.
  package enum Code: String, Sendable, CaseIterable {
    case noAuthToken = "OPN-AUT-001"
    case tokenInvalid = "OPN-AUT-002"
    case tokenMissing = "OPN-AUT-003"
    case roleMissing = "OPN-AUT-004"
    case subscription = "OPN-SUB-001"
    /// Not JSON, or JSON without what an event must have: bundle, task, child.
    case unreadable = "OPN-CRVS-001"
    case packetCreation = "OPN-CRVS-002"
    case tokenGeneration = "OPN-CRVS-003"
    case serviceUnreachable = "OPN-CRVS-004"
    case ridGeneration = "OPN-CRVS-005"
    /// The event is whole but no identity can be made of it.
    case identity = "OPN-CRVS-006"
    /// Ours, unused upstream: the person cannot be verified now.
    case notVerifiable = "OPN-CRVS-007"
    /// Ours, unused upstream: the event's data are not those of the identity.
    case mismatch = "OPN-CRVS-008"
    /// Ours, unused upstream: policy does not allow it, or wants a person to decide.
    case notAllowed = "OPN-CRVS-009"
    case unknown = "OPN-CRVS-010"
    case syncOrUpload = "OPN-CRVS-011"
    /// Ours, unused upstream: the id was received before with other content, or its RID belongs to another id.
    case conflict = "OPN-CRVS-015"
    /// Ours, unused upstream: taken and kept, but events of this topic have no way to MOSIP.
    case notYet = "OPN-CRVS-016"
    /// Ours, unused upstream: the state does not fit, e.g. a BLOCKED identity, or a reversal of somebody who is not deceased.
    case state = "OPN-CRVS-017"
    /// Ours, unused upstream: the id repository refuses a correction or an activation.
    case changeRefused = "OPN-CRVS-018"
    /// Ours, unused upstream: nothing came back in time. Told once; what comes later is told all the same.
    case noResult = "OPN-CRVS-019"
    case decryption = "OPN-CRVS-022"
    case signature = "OPN-CRVS-026"
    /// The UIN or VID of the event is none, or nobody has it.
    case numberUnknown = "OPN-CRVS-028"
    /// The event names no UIN or VID, and nothing that is kept leads to one.
    case nobodyNamed = "OPN-CRVS-029"
    /// The id repository refuses the deactivation.
    case deactivation = "OPN-CRVS-030"
    case ridUnreadable = "OPN-CRVS-031"
    case location = "OPN-CRVS-032"
    /// Ours, unused upstream: the sender does not send UTF-8.
    case notUTF8 = "OPN-CRVS-033"
    /// Ours, unused upstream: nothing is at this path.
    case noEndpoint = "OPN-CRVS-034"
    /// Ours, unused upstream: more bytes than are taken.
    case tooLarge = "OPN-CRVS-035"
    /// Ours, unused upstream: OpenCRVS waits for an answer that can reach it no more.
    case undeliverable = "OPN-CRVS-036"

    /// The HTTP status that goes with it. Upstream's, but for what upstream leaves to its framework: a conflict is 409,
    /// what may work later is 503.
    var status: Int {
      switch self {
      case .tokenInvalid, .tokenMissing: 401
      case .roleMissing: 403
      case .noEndpoint: 404
      case .conflict: 409
      case .tooLarge: 413
      case .subscription, .unknown: 500
      case .noAuthToken, .serviceUnreachable, .ridGeneration: 503
      default: 400
      }
    }
  }

  /// What went wrong.
  package var code: Code
  /// What went wrong, in a sentence.
  package var message: String
  /// The key of the other record that it is about, by which the other side finds it: `OpenCRVSRecordKey`, never a registration number.
  package var otherRecord: String?

  /// A fault with its sentence.
  package init(_ code: Code, _ message: String, otherRecord: String? = nil) {
    self.code = code
    self.message = message
    self.otherRecord = otherRecord
  }

  /// The same as the end of a piece of work.
  package var workFailure: WorkFailure { WorkFailure(code: code.rawValue, message) }
  /// Code and sentence.
  package var description: String { "\(code.rawValue): \(message)" }
}
