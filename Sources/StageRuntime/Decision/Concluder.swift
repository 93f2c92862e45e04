import Registration
import Routing
import StageKit
import System

/// Where a verdict leads: decided by one whole version of the route file, in one place for all ways a hop can begin (bus, upload, replay). It
/// asks no stage.
struct Concluder: Sendable {
  var routes: RouteFile
  /// All stages by name: where their messages go.
  let directory: [String: StageDefinition]
  let worker: String
  /// Where the versions are that packets of pinned flows began with.
  private var versions: RouteVersions?
  /// Why nothing can be decided: the message becomes a dead letter with this reason.
  private var refusal: String?

  init(routes: RouteFile, directory: [String: StageDefinition], worker: String) {
    self.routes = routes
    self.directory = directory
    self.worker = worker
  }

  /// Decides by the version that is in force now, or that a pinned packet began with.
  init(_ table: RouteTable, directory: [String: StageDefinition], worker: String) {
    self.init(routes: table.routes, directory: directory, worker: worker)
    versions = table.versions
  }

  /// What the hops of a stage have in common.
  func source(_ stage: StageDefinition) -> HopSource { HopSource(stage, worker: worker, routeDigest: routes.digest) }

  /// The same, by the version that a packet of a pinned flow began with; nil where that is this one.
  nonisolated(nonsending) func version(for incoming: IncomingMessage) async throws -> Concluder? {
    guard let versions, routes.isPinned(incoming.message.process) else { return nil }
    let packet = RouteVersions.Packet(incoming.message, run: incoming.hop.run)
    var other = self
    switch try await versions.version(of: packet, in: routes) {
    case .inForce: return nil
    case .kept(let version): other.routes = version
    case .unreadable(let digest): other.refusal = RouteVersions.unreadable(digest)
    }
    return other
  }

  /// Decides what follows from what a stage says of a message of the bus.
  func conclude(
    _ incoming: IncomingMessage, _ judgement: Judgement, at stage: StageDefinition, _ source: HopSource? = nil, now: Instant
  ) -> ConcludedHop {
    var concluded = conclude(
      judgement.message, judgement.verdict, at: stage, source, hop: incoming.hop, parent: nil, origin: incoming.origin,
      takenAt: incoming.takenAt, now: now, milliseconds: judgement.milliseconds, deadLetter: judgement.deadLetter)
    concluded.follow(incoming.trace)
    return concluded
  }

  /// Decides what follows from a verdict.
  func conclude(
    _ incoming: Message, _ verdict: Verdict, at stage: StageDefinition, _ source: HopSource? = nil, hop: HopHeader, parent: HopId?,
    origin: RecordOrigin?, takenAt: Instant, now: Instant, milliseconds: Double, deadLetter: DeadLetter? = nil
  ) -> ConcludedHop {
    var message = incoming
    var concluded = ConcludedHop(
      source: source ?? self.source(stage), id: hop.id, parent: parent, run: hop.run, attempt: hop.attempt, rid: message.rid,
      process: message.process, iteration: message.iteration, workflowInstanceId: message.workflowInstanceId,
      takenAt: takenAt, doneAt: now, milliseconds: milliseconds, verdict: verdict, destinations: "", origin: origin,
      outgoing: [], registrationStatus: nil, completion: nil, deadLetter: deadLetter,
      anonymousProfile: nil)

    message.isValid = verdict.kind.isValid
    message.internalError = verdict.kind.internalError
    message.messageBusAddress = stage.busIn
    message.lastHopTimestamp = now
    if !verdict.tags.isEmpty { message.tags = (message.tags ?? [:]).merging(verdict.tags) { $1 } }

    func lose(_ code: String, _ reason: String) -> ConcludedHop {
      concluded.destinations = "dead letter"
      concluded.deadLetter = DeadLetter(
        stage: stage.name, code: code, reason: reason, rid: message.rid, hop: hop.id,
        origin: origin ?? RecordOrigin(topic: stage.busOut, partition: -1, offset: -1), key: Array(message.rid.utf8),
        value: message.encoded())
      return concluded
    }
    if let refusal { return lose("RPR-RTE-003", refusal) }
    let decision: Decision
    do {
      decision = try routes.decide(
        process: concluded.process, after: stage.name, verdict: verdict.kind, message: message)
    } catch {
      return lose("RPR-RTE-001", "no way in the route file: \(error)")
    }

    let key = RecordKey.composite(
      rid: concluded.rid, topicPrefix: stage.topicPrefix, process: concluded.process, address: stage.busIn)
    let bytes = message.encoded()
    for destination in decision.destinations {
      switch destination {
      case .stage(let name):
        let (topic, id) = (routes.busIn(of: name), hop.id.next(name))
        concluded.outgoing.append(
          OutgoingHop(
            id: id, parent: hop.id, run: hop.run, attempt: 1, stage: name, topic: topic,
            key: routes.key(key, to: name, of: concluded.process, hop: id, isFirst: hop.run == 1), message: bytes, notBefore: nil))
      case .command(let command):
        apply(command, to: &concluded, incoming: incoming, stage: stage, hop: hop, now: now)
      }
    }
    concluded.destinations = decision.names
    return concluded
  }

  /// Carries out a workflow command.
  func apply(
    _ command: WorkflowCommand, to concluded: inout ConcludedHop, incoming: Message, stage: StageDefinition, hop: HopHeader,
    now: Instant
  ) {
    switch command {
    case .completeAsProcessed: complete(.processed, &concluded)
    case .completeAsFailed: complete(.failed, &concluded)
    case .completeAsRejected: complete(.rejected, &concluded)
    case .completeAsRejectedWithoutParentFlow: concluded.registrationStatus = .rejected
    case .markAsReprocess:
      concluded.registrationStatus = .reprocess
      var again = incoming
      again.isValid = true
      again.internalError = false
      again.lastHopTimestamp = now
      let id = hop.id.nextTry
      concluded.outgoing.append(
        OutgoingHop(
          id: id, parent: hop.id, run: hop.run, attempt: hop.attempt + 1, stage: stage.name, topic: stage.busIn,
          key: routes.key(incoming.rid, to: stage.name, of: concluded.process, hop: id, isFirst: false), message: again.encoded(),
          notBefore: now.advanced(bySeconds: stage.backoff.pause(after: hop.attempt))))
    case .pauseAndRequestAdditionalInfo(let request):
      concluded.registrationStatus = .pausedForAdditionalInfo
      concluded.pause = HopPause(
        until: now.advanced(bySeconds: Double(request.pauseSeconds)), action: .stopProcessing,
        requestedProcess: request.process)
    case .markAsPaused(let pause):
      concluded.registrationStatus = .paused
      concluded.pause = HopPause(
        until: now.advanced(bySeconds: Double(pause.seconds)), action: ResumeAction(pause.then), rules: pause.ruleIDs)
    case .restartParentFlow:
      complete(.processed, &concluded)
      concluded.restartsParent = true
    case .anonymousProfile: concluded.anonymousProfile = AnonymousProfile.encoded(incoming, at: stage, now: now)
    }
  }

  private func complete(_ status: RegistrationStatus, _ concluded: inout ConcludedHop) {
    concluded.registrationStatus = status
    concluded.completion = Completion(resultCode: status)
  }
}
