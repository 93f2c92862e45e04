import Registration
import StageKit
import System

/// A record as a worker read it: decoded, with its hop.
struct IncomingMessage: Sendable {
  var message: Message
  var hop: HopHeader
  var origin: RecordOrigin
  var takenAt: Instant
  /// Whether the record carried no hop of ours.
  var isForeign = false
  /// The trace that it belongs to; nil for that of its RID.
  var trace: TraceId?
}

/// What a stage says of a message, its errors and used-up tries included.
struct Judgement: Sendable {
  /// The message as the stage saw it, with its tags.
  var message: Message
  var verdict: Verdict
  /// Set when the tries are used up.
  var deadLetter: DeadLetter?
  /// How long the stage took.
  var milliseconds = 0.0
}

/// Asks a stage, and makes a verdict of whatever comes of it: an error is a retry, and a retry too many an error with a dead letter. It knows
/// nothing of the route file.
struct Judge: Sendable {
  let stage: RunningStage
  /// A record with whose verdict the stage wanted something kept that could not be, and why: an error of the stage, which is not asked again.
  let unkept: Unkept?

  /// A record, and why what its verdict wanted kept could not be.
  struct Unkept: Sendable {
    var origin: RecordOrigin
    var error: any Error
  }

  init(_ stage: RunningStage, unkept: Unkept? = nil) { (self.stage, self.unkept) = (stage, unkept) }

  /// Asks the stage. It stays on its caller's thread: a change of executors for each message costs more than the deciding.
  nonisolated(nonsending) func judge(_ incoming: IncomingMessage) async throws -> Judgement {
    if let unkept, unkept.origin == incoming.origin { return failed(incoming, unkept.error) }
    let clock = ContinuousClock()
    let start = clock.now
    let services = stage.context.services
    var message = incoming.message
    var judgement: Judgement
    do {
      // A replay and some Java stages send null: the packet manager has them.
      if !message.hasTags { message.tags = try await services.packets.tags(of: message.rid, named: nil) }
      let verdict = try await stage.plugin.process(message, stage.context)
      if !verdict.tags.isEmpty { try await services.packets.addOrUpdateTags(of: message.rid, verdict.tags) }
      judgement = bounded(Judgement(message: message, verdict: verdict), incoming)
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      judgement = failed(incoming, error, seen: message)
    }
    let spent = (clock.now - start).components
    judgement.milliseconds = Double(spent.seconds) * 1000 + Double(spent.attoseconds) / 1e15
    return judgement
  }

  /// A judgement that came to nothing, because of an error of the stage or of what it wanted kept.
  /// - Parameter message: the message as the stage saw it; nil for as it was read.
  func failed(_ incoming: IncomingMessage, _ error: any Error, seen message: Message? = nil) -> Judgement {
    let verdict = Verdict.retry(Self.exceptionCode, Self.comment(on: error))
    return bounded(Judgement(message: message ?? incoming.message, verdict: verdict), incoming)
  }

  /// The same, unless it is a retry more than the stage has.
  private func bounded(_ judgement: Judgement, _ incoming: IncomingMessage) -> Judgement {
    let (file, verdict) = (stage.file, judgement.verdict)
    guard verdict.kind == .retry, incoming.hop.attempt >= file.tries else { return judgement }
    var judgement = judgement
    judgement.deadLetter = DeadLetter(
      stage: file.name, code: "RPR-RPS-FAILED-001", reason: "tries used up (\(file.tries)): \(verdict.comment)",
      rid: judgement.message.rid, hop: incoming.hop.id, origin: incoming.origin, key: Array(judgement.message.rid.utf8),
      value: judgement.message.encoded())
    judgement.verdict = .error("RPR-RPS-FAILED-001", "tries used up: " + verdict.comment, status: .reprocessFailed)
    (judgement.verdict.tags, judgement.verdict.changes) = (verdict.tags, verdict.changes)
    return judgement
  }

  /// The code of an error that a stage did not foresee.
  static let exceptionCode = "RPR-SYS-EXCEPTION-001"

  /// What an error may say of itself: our own error types keep values and secrets out of their texts, others show their type alone.
  static func comment(on error: any Error) -> String {
    String(ErrorText.of(error).prefix(220))
  }
}
