import Registration
import Routing
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
}

/// One stage as this process runs it.
struct RunningStage: Sendable {
  let file: StageDefinition
  let plugin: any StagePlugin
  let spec: PluginSpec
  let context: StageContext
  let identity: StageIdentity
  let metrics: StageMetrics
  /// The names of its further topics, settings filled in.
  let furtherTopics: [String]
  /// The kinds of durable work, settings filled in.
  let work: [WorkKind]
  /// Who carries out workflow commands, for the bridge.
  let bridgeCommands: Bridge.Commands

  init(file: StageDefinition, plugin: any StagePlugin, context: StageContext, settings: StageSettings) {
    self.file = file
    self.plugin = plugin
    self.spec = type(of: plugin).spec
    self.context = context
    self.identity = StageIdentity(file)
    self.metrics = StageMetrics(stage: file.name)
    self.furtherTopics = type(of: plugin).spec.topics.map { settings.filled($0) }
    self.work = spec.work(by: settings)
    let isBridge = type(of: plugin).spec.isBridge
    self.bridgeCommands = isBridge ? Bridge.Commands(rawValue: settings.text("workflow-commands")) ?? .publish : .publish
  }
}

extension PluginSpec {
  /// The kinds of durable work, with what a stage's settings say of them.
  func work(by settings: StageSettings) -> [WorkKind] {
    work.map { kind in
      var kind = kind
      if let setting = kind.concurrencySetting { kind.concurrency = settings.integer(setting) }
      return kind
    }
  }
}

extension StageIdentity {
  init(_ file: StageDefinition) {
    self.init(name: file.name, className: file.className, transactionType: file.transactionType)
  }
}

/// What a verdict leads to: decided by one whole version of the route file, in one place for all ways a hop can begin
/// (bus, upload, replay).
struct Judge: Sendable {
  var routes: RouteFile
  /// All stages by name: where their messages go.
  let directory: [String: StageDefinition]
  let worker: String
  /// Where the versions are that packets of pinned flows began with.
  var versions: RouteVersions?
  /// Why nothing can be decided: the message becomes a dead letter with this reason.
  private var refusal: String?

  init(routes: RouteFile, directory: [String: StageDefinition], worker: String) {
    self.routes = routes
    self.directory = directory
    self.worker = worker
  }

  /// Judges by the version that is in force now, or that a pinned packet began with.
  init(_ table: RouteTable, directory: [String: StageDefinition], worker: String) {
    self.init(routes: table.routes, directory: directory, worker: worker)
    versions = table.versions
  }

  /// The same, by the version that a packet of a pinned flow began with.
  nonisolated(nonsending) private func pinned(_ incoming: IncomingMessage) async throws -> Judge? {
    guard let versions else { return nil }
    let packet = RouteVersions.Packet(incoming.message, run: incoming.hop.run)
    var other = self
    switch try await versions.version(of: packet, in: routes) {
    case .inForce: return nil
    case .kept(let version): other.routes = version
    case .unreadable(let digest):
      other.refusal = RouteVersions.unreadable(digest)
    }
    return other
  }

  /// What the hops of a stage have in common.
  func source(_ stage: StageDefinition) -> HopSource {
    HopSource(stage: StageIdentity(stage), worker: worker, routeDigest: routes.digest)
  }

  /// Asks the stage and decides what follows. It stays on its caller's thread: a change of executors for each message costs more than
  /// the deciding.
  nonisolated(nonsending) func judge(
    _ incoming: IncomingMessage, by unit: RunningStage, _ source: HopSource
  ) async throws -> ConcludedHop {
    if routes.isPinned(incoming.message.process), let other = try await pinned(incoming) {
      return try await other.ask(incoming, by: unit, other.source(unit.file))
    }
    return try await ask(incoming, by: unit, source)
  }

  nonisolated(nonsending) private func ask(
    _ incoming: IncomingMessage, by unit: RunningStage, _ source: HopSource
  ) async throws -> ConcludedHop {
    let clock = ContinuousClock()
    let start = clock.now
    var message = incoming.message
    var verdict: Verdict
    do {
      // A replay and some Java stages send null: the packet manager has them.
      if !message.hasTags { message.tags = try await unit.context.services.packets.tags(of: message.rid, named: nil) }
      verdict = try await unit.plugin.process(message, unit.context)
      if !verdict.tags.isEmpty {
        try await unit.context.services.packets.addOrUpdateTags(of: incoming.message.rid, verdict.tags)
      }
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      verdict = .retry("RPR-SYS-EXCEPTION-001", Self.comment(on: error))
      unit.context.log.warning("the stage could not judge a message", ["rid": incoming.message.rid, "error": verdict.comment])
    }
    let spent = clock.now - start
    return conclude(
      message, verdict, at: unit.file, source, hop: incoming.hop, parent: nil, origin: incoming.origin,
      takenAt: incoming.takenAt, now: unit.context.services.clock.now,
      milliseconds: Double(spent.components.seconds) * 1000 + Double(spent.components.attoseconds) / 1e15)
  }

  /// What an error may say of itself: our own error types keep values and secrets out of their texts, others show their type alone.
  static func comment(on error: any Error) -> String {
    switch error {
    case let error as ServiceError: String(error.description.prefix(220))
    case let error as StoreConflict: error.description
    case let error as WorkFailure: String(error.description.prefix(220))
    default: "unexpected error of type \(type(of: error))"
    }
  }

  /// Decides what follows from a verdict.
  func conclude(
    _ incoming: Message, _ verdict: Verdict, at stage: StageDefinition, _ source: HopSource? = nil, hop: HopHeader, parent: HopId?,
    origin: RecordOrigin?, takenAt: Instant, now: Instant, milliseconds: Double
  ) -> ConcludedHop {
    var message = incoming
    var concluded = ConcludedHop(
      source: source ?? self.source(stage), id: hop.id, parent: parent, run: hop.run, attempt: hop.attempt, rid: message.rid,
      process: message.process, iteration: message.iteration, workflowInstanceId: message.workflowInstanceId,
      takenAt: takenAt, doneAt: now, milliseconds: milliseconds, verdict: verdict, destinations: "", origin: origin,
      outgoing: [], registrationStatus: nil, completion: nil, deadLetter: nil,
      anonymousProfile: nil)

    if verdict.kind == .retry, hop.attempt >= stage.tries, let origin {
      concluded.deadLetter = DeadLetter(
        stage: stage.name, code: "RPR-RPS-FAILED-001", reason: "tries used up (\(stage.tries)): \(verdict.comment)",
        rid: message.rid, hop: hop.id, origin: origin, key: Array(message.rid.utf8), value: incoming.encoded())
      concluded.verdict = .error(
        "RPR-RPS-FAILED-001", "tries used up: " + verdict.comment, status: .reprocessFailed)
    }

    message.isValid = concluded.verdict.kind.isValid
    message.internalError = concluded.verdict.kind.internalError
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
        process: concluded.process, after: stage.name, verdict: concluded.verdict.kind, message: message)
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
    case .completeAsProcessed: complete("PROCESSED", &concluded)
    case .completeAsFailed: complete("FAILED", &concluded)
    case .completeAsRejected: complete("REJECTED", &concluded)
    case .completeAsRejectedWithoutParentFlow: concluded.registrationStatus = "REJECTED"
    case .markAsReprocess:
      concluded.registrationStatus = "REPROCESS"
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
      concluded.registrationStatus = "PAUSED_FOR_ADDITIONAL_INFO"
      concluded.pause = HopPause(
        until: now.advanced(bySeconds: Double(request.pauseSeconds)), action: .stopProcessing,
        requestedProcess: request.process)
    case .markAsPaused(let pause):
      concluded.registrationStatus = "PAUSED"
      concluded.pause = HopPause(
        until: now.advanced(bySeconds: Double(pause.seconds)), action: ResumeAction(pause.then), rules: pause.ruleIDs)
    case .restartParentFlow:
      complete("PROCESSED", &concluded)
      concluded.restartsParent = true
    case .anonymousProfile: concluded.anonymousProfile = AnonymousProfile.encoded(incoming, at: stage, now: now)
    }
  }

  private func complete(_ status: String, _ concluded: inout ConcludedHop) {
    concluded.registrationStatus = status
    concluded.completion = Completion(resultCode: status)
  }
}
