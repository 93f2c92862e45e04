import Registration
import Routing
import StageKit
import System

/// What follows from a message that a stage elsewhere has judged: the same decision as behind a stage of ours, on bytes that are not
/// touched. Upstream's bridge changes neither body nor key nor time stamp (docs/upstream/bus-and-routes.md#4-keys-and-headers and 7).
public struct Bridge: Sendable {
  /// Who carries workflow commands out.
  public enum Commands: String, Sendable, CaseIterable {
    /// Upstream's workflow engine, which reads them on its topic.
    case publish
    /// This engine, as those of its own stages.
    case here
  }

  let commands: Commands
  let directory: [String: StageDefinition]
  let worker: String

  /// A message of a stage's output with what the journal knows of its hop.
  struct Answer: Sendable {
    var message: Message
    var record: BridgeRecord
    /// The flow and the stage that the topic is of.
    var process: String
    var stage: String
    var hop: HopHeader
    var takenAt: Instant
    /// What the stage's two flags say.
    var kind: VerdictKind? { VerdictKind(isValid: message.isValid, internalError: message.internalError) }
  }

  /// What is to be journaled and sent.
  struct Outcome: Sendable {
    var hop: ConcludedHop
    var records: [BridgeOutgoing] = []
  }

  /// The stage as the journal and MOSIP's tables name it.
  func file(_ stage: String, _ routes: RouteFile) -> StageDefinition { StageDefinition(stage, in: directory, or: routes) }

  /// An answer whose way is not decided yet.
  func begun(_ answer: Answer, by routes: RouteFile, now: Instant) -> Outcome {
    let (message, hop) = (answer.message, answer.hop)
    var outcome = Outcome(
      hop: ConcludedHop(
        source: HopSource(file(answer.stage, routes), worker: worker, routeDigest: routes.digest), id: hop.id, parent: nil,
        run: hop.run, attempt: hop.attempt, rid: message.rid, process: answer.process, iteration: message.iteration,
        workflowInstanceId: message.workflowInstanceId, takenAt: answer.takenAt, doneAt: now, milliseconds: 0,
        verdict: Self.verdict(answer.kind), destinations: "", origin: answer.record.origin, outgoing: [], registrationStatus: nil,
        completion: nil, deadLetter: nil, anonymousProfile: nil))
    outcome.hop.trace = answer.record.trace?.unlessOf(message.rid)
    return outcome
  }

  /// Decides where an answer goes.
  func route(_ answer: Answer, by routes: RouteFile, now: Instant) -> Outcome {
    let (message, hop, kind, stage) = (answer.message, answer.hop, answer.kind, file(answer.stage, routes))
    var outcome = begun(answer, by: routes, now: now)
    var decided = kind
    if commands == .here, kind == .retry, hop.attempt >= stage.tries {
      let reason = "tries used up (\(stage.tries))"
      outcome.hop.deadLetter = letter(answer, "RPR-RPS-FAILED-001", reason)
      outcome.hop.verdict = .error("RPR-RPS-FAILED-001", reason, status: .reprocessFailed)
      decided = .error
    }
    let decision: Decision
    do throws(RoutingError) {
      decision = try routes.decide(process: answer.process, after: answer.stage, verdict: decided, message: message)
    } catch {
      return lost(outcome, answer, "RPR-RTE-001", "no way in the route file: \(error)")
    }
    for destination in decision.destinations {
      switch destination {
      case .stage(let name):
        let (id, key) = (hop.id.next(name), answer.record.keyText(rid: message.rid))
        let next = OutgoingHop(
          id: id, parent: hop.id, run: hop.run, attempt: 1, stage: name, topic: routes.busIn(of: name),
          key: routes.key(key, to: name, of: answer.process, hop: id, isFirst: hop.run == 1), message: answer.record.value ?? [],
          notBefore: nil)
        outcome.hop.outgoing.append(next)
        outcome.records.append(BridgeOutgoing(next, from: answer.record))
      case .command(let command):
        if commands == .here {
          let concluder = Concluder(routes: routes, directory: directory, worker: worker)
          concluder.apply(command, to: &outcome.hop, incoming: message, stage: stage, hop: hop, now: now)
        } else {
          outcome.hop.registrationStatus = command.registrationStatus ?? outcome.hop.registrationStatus
          outcome.records.append(
            BridgeOutgoing(
              WorkflowInternalAction(command, for: message, now: now), from: answer.record, hop: hop.id))
        }
      }
    }
    outcome.hop.destinations = decision.names
    outcome.hop.follow(outcome.hop.trace)
    return outcome
  }

  /// A message that leads nowhere: kept as a dead letter.
  func lost(_ outcome: Outcome, _ answer: Answer, _ code: String, _ reason: String) -> Outcome {
    var outcome = outcome
    outcome.hop.destinations = "dead letter"
    outcome.hop.deadLetter = letter(answer, code, reason)
    outcome.hop.outgoing = []
    outcome.records = []
    return outcome
  }

  private func letter(_ answer: Answer, _ code: String, _ reason: String) -> DeadLetter {
    DeadLetter(
      stage: answer.stage, code: code, reason: reason, rid: answer.message.rid, hop: answer.hop.id,
      origin: answer.record.origin, key: answer.record.key, value: answer.record.value)
  }

  /// What is known of a verdict that another process came to: its two flags.
  private static func verdict(_ kind: VerdictKind?) -> Verdict {
    switch kind {
    case .passed?: .passed("", "passed by the stage that runs elsewhere")
    // Upstream's reprocessor leaves a flag null when it sends a message on its way again.
    case nil: .passed("", "sent on its way again; no verdict")
    case .failed?: .failed("", "failed by the stage that runs elsewhere")
    case .retry?: .retry("", "to be tried again, by the stage that runs elsewhere")
    case .error?: .error("", "error of the stage that runs elsewhere")
    }
  }
}

extension StageDefinition {
  /// A stage of ours, or one that only the route file knows.
  init(_ name: String, in directory: [String: StageDefinition], or routes: RouteFile) {
    self = directory[name] ?? StageDefinition(elsewhere: name, topicPrefix: routes.stages.topicPrefix(of: name))
  }

  /// A stage of which there is no `stage.yaml` here. Upstream's class name follows from the topics
  /// (docs/upstream/bus-and-routes.md#3-topics).
  init(elsewhere name: String, topicPrefix: String) {
    self.init(name: name, className: StageDefinition(name: topicPrefix).className, topicPrefix: topicPrefix)
  }
}

extension WorkflowCommand {
  /// The `registration.status_code` after it; nil when it leaves that as it is
  /// (docs/upstream/bus-and-routes.md#74-what-the-workflow-engine-does).
  var registrationStatus: RegistrationStatus? {
    switch self {
    case .completeAsProcessed, .restartParentFlow: .processed
    case .completeAsFailed: .failed
    case .completeAsRejected, .completeAsRejectedWithoutParentFlow: .rejected
    case .markAsReprocess: .reprocess
    case .pauseAndRequestAdditionalInfo: .pausedForAdditionalInfo
    case .markAsPaused: .paused
    case .anonymousProfile: nil
    }
  }
}

extension WorkflowInternalAction {
  /// The record that upstream's bridge publishes for a command of a route (docs/upstream/bus-and-routes.md#73-workflow-commands and 7.5).
  init(_ command: WorkflowCommand, for message: Message, now: Instant) {
    switch command {
    case .completeAsProcessed: self.init(.completeAsProcessed, for: message)
    case .completeAsRejected: self.init(.completeAsRejected, for: message)
    case .completeAsFailed: self.init(.completeAsFailed, for: message)
    case .markAsReprocess: self.init(.markAsReprocess, for: message)
    case .restartParentFlow: self.init(.restartParentFlow, for: message)
    case .completeAsRejectedWithoutParentFlow: self.init(.completeAsRejectedWithoutParentFlow, for: message)
    case .anonymousProfile: self.init(.anonymousProfile, for: message)
    case .pauseAndRequestAdditionalInfo(let request):
      self = .requestAdditionalInfo(for: message, process: request.process, pauseFor: request.pauseSeconds, now: now)
    case .markAsPaused(let pause):
      self = .pause(
        for: message, rules: zip(pause.ruleIDs, pause.descriptions).map { (id: $0, description: $1) },
        pauseFor: pause.seconds, defaultResumeAction: ResumeAction(pause.then), now: now)
    }
  }
}

extension ResumeAction {
  /// What a route file says is to happen, as it stands on the bus and in MOSIP's table.
  init(_ resume: Routing.Pause.Resume) {
    switch resume {
    case .resumeProcessing: self = .resumeProcessing
    case .resumeFromBeginning: self = .resumeFromBeginning
    case .stopProcessing: self = .stopProcessing
    }
  }
}
