import Registration
import StageKit
import System

/// One hop that came to its verdict, as the journal records it.
struct ConcludedHop: Sendable {
  /// What it has in common with the other hops of its batch.
  var source: HopSource
  var id: HopId
  var parent: HopId?
  var run: Int
  var attempt: Int
  var rid: String
  var process: String
  var iteration: Int
  var workflowInstanceId: String?
  var takenAt: Instant
  var doneAt: Instant
  var milliseconds: Double
  var verdict: Verdict
  /// The names of all destinations, for the person who reads the journey.
  var destinations: String
  /// Where the message was read; nil when the hop began outside the bus.
  var origin: RecordOrigin?
  /// What goes on the bus because of this verdict.
  var outgoing: [OutgoingHop]
  /// The new `registration.status_code`, when a workflow command changes it.
  var registrationStatus: RegistrationStatus?
  /// Set when the packet's way ended: tell those who wait.
  var completion: Completion?
  /// Set when the packet waits: for a correction packet, or because of pause rules.
  var pause: HopPause?
  /// Set when a correction packet asks that the registration it belongs to begins again.
  var restartsParent = false
  /// Set when the tries were used up.
  var deadLetter: DeadLetter?
  /// The trace that its registration came with, or that a Java stage began; nil for that of its RID.
  var trace: TraceId?
  /// The anonymous profile that a workflow command asks for.
  var anonymousProfile: [UInt8]?
}

extension ConcludedHop {
  var stage: String { source.stage }
  var className: String { source.className }
  var transactionType: String { source.transactionType }
  var worker: String { source.worker }
  var routeDigest: String { source.routeDigest }

  /// Belongs to a trace from here on, with all that follows from it.
  mutating func follow(_ trace: TraceId?) {
    guard let trace else { return }
    self.trace = trace
    for index in outgoing.indices { outgoing[index].trace = trace }
  }
}

/// Who judged, and by what: one for all hops of a batch, so that a hop costs one reference instead of five texts.
final class HopSource: Sendable {
  /// Our name of the stage, e.g. `print`.
  let stage: String
  /// Upstream's class name, e.g. `CredentialRequestorStage`: part of the wire contract.
  let className: String
  /// `registration_transaction.trn_type_code`.
  let transactionType: String
  let worker: String
  let routeDigest: String

  /// - Parameter transactionType: nil for the stage's own.
  init(_ stage: StageDefinition, transactionType: String? = nil, worker: String, routeDigest: String) {
    self.stage = stage.name
    className = stage.className
    self.transactionType = transactionType ?? stage.transactionType
    self.worker = worker
    self.routeDigest = routeDigest
  }
}

/// Where a record was read.
struct RecordOrigin: Sendable, Hashable {
  var topic: String
  var partition: Int32
  var offset: Int64
}

/// A message on its way to a stage.
struct OutgoingHop: Sendable {
  var id: HopId
  var parent: HopId?
  var run: Int
  var attempt: Int
  var stage: String
  var topic: String
  var key: String
  var message: [UInt8]
  /// Nil: on the bus with this batch. Otherwise the outbox relay sends it, not before this moment.
  var notBefore: Instant?
  /// The trace that it belongs to; nil for that of its RID.
  var trace: TraceId?
}

/// The end of a packet's way.
struct Completion: Sendable, Equatable {
  /// `PROCESSED`, `REJECTED` or `FAILED`.
  var resultCode: RegistrationStatus
}

/// A record that no stage can read, or that used up its tries.
struct DeadLetter: Sendable {
  var stage: String
  var code: String
  var reason: String
  var rid: String?
  var hop: HopId?
  var origin: RecordOrigin
  var key: [UInt8]?
  var value: [UInt8]?
  /// What stood beside them, as JSON; nil where it is not known.
  var headers: String?
}

/// A registration that waits until somebody or the clock decides.
struct HopPause: Sendable, Equatable {
  /// When the clock decides.
  var until: Instant
  /// What it decides.
  var action: ResumeAction
  /// The pause rules that made it wait; none for one that waits for a correction packet.
  var rules: [String] = []
  /// The process of the packet that it waits for.
  var requestedProcess: String?
}
