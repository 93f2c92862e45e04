import Postgres
import Registration
import Routing
import StageKit
import System

/// Routes what stages that run elsewhere have judged, in place of Camel's bridge: reads the output topics of all flows, decides by the route
/// file, and sends on. One thread with a consumer, a producer and a database connection.
///
/// Delivery: exactly once on a broker with transactions. The journal is committed before the bus, so a record that is delivered again finds
/// its hop there: what it sent and nobody took is sent again under the same ids, and its workflow commands, which only the bus knows, are
/// derived from the same record and the same version of the route file once more.
/// Ordering: that of each partition; a RID is never routed by two workers at once.
final class BridgeWorker: BusWorker {
  let unit: RunningStage
  private let name: String
  private let routes: RouteTable
  private let bridge: Bridge
  private let database: PostgresSettings
  private let openBus: @Sendable (_ topics: [String], _ watch: BusWatch) throws -> any BridgeBus
  private let log: Log
  private let pauses: Pauses
  let thread = WorkerThread()
  let watch: BusWatch

  init(
    unit: RunningStage, name: String, commands: Bridge.Commands, routes: RouteTable, directory: [String: StageDefinition],
    database: PostgresSettings, pauses: Pauses = Pauses(nil),
    openBus: @escaping @Sendable (_ topics: [String], _ watch: BusWatch) throws -> any BridgeBus
  ) {
    self.pauses = pauses
    self.unit = unit
    self.name = name
    self.routes = routes
    self.bridge = Bridge(commands: commands, directory: directory, worker: name)
    self.database = database
    self.openBus = openBus
    self.log = unit.context.log
    watch = BusWatch(unit.file.name, group: unit.file.group, log: unit.context.log)
  }

  func start() { thread.start(unit.file.name) { self.run() } }

  func stop() {
    watch.stop(by: monotonicMilliseconds() + WorkerThread.stopLimit)
    thread.requestStop()
  }

  private func run() {
    var failures = 0
    while !thread.isStopping {
      var isOpen = false
      do {
        try session(opened: { isOpen = true }) { failures = 0 }
      } catch {
        failures += 1
        let reason = (error as? BusFailure)?.message ?? "\(error)"
        watch.failed(reason)
        if !isOpen { watch.outOfOrder("no connection to the bus or the database: \(reason)") }
        unit.metrics.loopFailures.add(1, ordering: .relaxed)
        log.warning("the bridge could not work; trying again", ["error": reason])
        thread.rest(milliseconds: WorkerThread.backoff.milliseconds(after: failures))
      }
    }
  }

  /// Works until it is to stop, something fails, or an edit of the route file names other topics.
  private func session(opened: () -> Void, _ moved: () -> Void) throws {
    var (version, plan) = (routes.routes, BridgePlan(routes.routes))
    let topics = plan.topics
    let bus = try watch.step("open the bus") { try openBus(topics, watch) }
    // Whoever stops or reads other topics leaves; after a failure it is back at once.
    var leaves = false
    defer { bus.close(leaving: leaves || thread.isStopping) }
    let connection = try watch.step("connect to the database") { try Connection(database) }
    defer { connection.close() }
    opened()
    watch.outOfOrder(nil)
    while !thread.isStopping {
      let isPaused = pauses[unit.file.name] != nil
      let records =
        try watch.step("read records") {
          if isPaused {
            try bus.idle(timeoutMilliseconds: 200)
            return []
          }
          return try bus.poll(max: unit.file.batch, timeoutMilliseconds: 200)
        } as [BridgeRecord]
      thread.moved()
      for loss in watch.takeLosses() {
        // What a stage elsewhere said is known to nobody else, and a stage that does not know our hop ids is not asked twice by itself.
        log.error(
          "what other stages wrote was lost: replay the registrations that wait for them, from the stage of the topic",
          ["topic": loss.topic, "count": loss.count])
      }
      if routes.routes.digest != version.digest {
        (version, plan) = (routes.routes, BridgePlan(routes.routes))
        // What was polled is read again.
        leaves = plan.topics != topics
        if leaves { return }
      }
      guard !records.isEmpty else {
        watch.idled()
        continue
      }
      let round = Round(worker: self, version: version, plan: plan, now: unit.context.clock.now)
      let outgoing = try watch.step("write to the journal") {
        try connection.transaction { try round.work(records, on: connection) }
      }
      watch.sends(to: Array(Set(outgoing.map(\.topic))).sorted())
      try watch.step("send") {
        do {
          try bus.send(outgoing) { try setAside($0, of: outgoing, connection) }
        } catch let refusals as UndeliverableBridgeRecords {
          try setAside(refusals.all, of: outgoing, connection)
          throw refusals
        }
      }
      round.count(unit.metrics)
      watch.passed()
      moved()
    }
  }

  /// What the broker refuses for a reason of its own does not hold up the rest. The message of a hop is in the journal: the outbox relay looks into it.
  /// Any other record (a workflow command, what is forwarded as it is) becomes a dead letter.
  private func setAside(_ refused: [UndeliverableBridgeRecord], of outgoing: [BridgeOutgoing], _ connection: Connection) throws {
    log.error("records were refused and are set aside", ["count": refused.count, "error": refused.first?.reason ?? ""])
    try connection.transaction {
      let known = try Journal.setAside(
        refused.compactMap { refusal in outgoing[refusal.index].hop.map { UndeliverableHop(hop: $0.id, reason: refusal.reason) } },
        connection)
      let letters = refused.compactMap { refusal -> DeadLetter? in
        let record = outgoing[refusal.index]
        if let hop = record.hop, known.contains(hop.id) { return nil }
        return DeadLetter(
          stage: unit.file.name, code: "RPR-BUS-002", reason: refusal.reason, rid: nil, hop: nil,
          origin: RecordOrigin(topic: record.topic, partition: -1, offset: -1), key: record.key, value: record.value)
      }
      if !letters.isEmpty { try Journal.keep(letters, connection) }
    }
  }

  /// One batch.
  private final class Round {
    private let worker: BridgeWorker
    private let version: RouteFile
    private let plan: BridgePlan
    private let now: Instant
    private var answers: [Bridge.Answer] = []
    private var outgoing: [BridgeOutgoing] = []
    private var letters: [DeadLetter] = []
    private var outcomes: [Bridge.Outcome] = []
    private var redelivered = 0

    init(worker: BridgeWorker, version: RouteFile, plan: BridgePlan, now: Instant) {
      (self.worker, self.version, self.plan, self.now) = (worker, version, plan, now)
    }

    /// Journals what follows from records, and says what is to be sent.
    func work(_ records: [BridgeRecord], on connection: Connection) throws -> [BridgeOutgoing] {
      for record in records { read(record) }
      if !answers.isEmpty {
        let foreign = answers.filter { $0.record.hop == nil }
        let claim = try Journal.claim(
          connection, rids: answers.map(\.message.rid), hops: answers.map(\.hop.id),
          foreign: foreign.map { ForeignRecord($0.message, process: $0.process, stage: $0.stage) })
        // Only one answer of an id, should a batch hold two.
        var seen: Set<HopId> = []
        answers.removeAll { !seen.insert($0.hop.id).inserted }
        let known = answers.filter { claim.known.contains($0.hop.id) }
        answers.removeAll { claim.known.contains($0.hop.id) }
        try again(known, claim, connection)
        var places: [HopId: ForeignRecord.Place] = [:]
        for (answer, place) in zip(foreign, claim.places) { places[answer.hop.id] = place }
        try leaveRepeats(places, claim.outstanding, connection)
        try decide(places, connection)
      }
      try Journal.record(connection, outcomes.map(\.hop))
      if !letters.isEmpty {
        try Journal.keep(letters, connection)
      }
      return outgoing
    }

    private func read(_ record: BridgeRecord) {
      switch plan.sources[record.origin.topic] {
      case .forward(let stage)?:
        outgoing.append(
          BridgeOutgoing(
            topic: version.busIn(of: stage), key: record.key, value: record.value, headers: record.headers))
      case .output(let process, let stage)?: readMessage(record, process, stage)
      case nil: refuse(record, "RPR-RTE-001", "the route file has no stage any more that writes this topic")
      }
    }

    private func readMessage(_ record: BridgeRecord, _ process: String, _ stage: String) {
      let value = record.value ?? []
      let message: Message
      do throws(MessageError) {
        message = try Message(decoding: value)
      } catch {
        return refuse(record, "RPR-MSG-001", "\(error)")
      }
      guard Topic.busOut("", process: message.process) == Topic.busOut("", process: process) else {
        return refuse(record, "RPR-RTE-004", "a message of another process than its topic's", message.rid)
      }
      guard message.workflowInstanceId?.utf8.contains(0) != true else {
        return refuse(record, "RPR-MSG-002", "the journal cannot hold its workflowInstanceId", message.rid)
      }
      let hop = record.hop ?? HopHeader(id: .foreign(stage: stage, value: value), run: 1, attempt: 1)
      answers.append(
        Bridge.Answer(message: message, record: record, process: process, stage: stage, hop: hop, takenAt: now))
    }

    private func refuse(_ record: BridgeRecord, _ code: String, _ reason: String, _ rid: String? = nil) {
      letters.append(
        DeadLetter(
          stage: worker.unit.file.name, code: code, reason: reason, rid: rid, hop: record.hop?.id, origin: record.origin,
          key: record.key, value: record.value))
    }

    /// What was journaled before and did not reach the bus.
    private func again(_ known: [Bridge.Answer], _ claim: Journal.Claim, _ connection: Connection) throws {
      guard !known.isEmpty else { return }
      redelivered += known.count
      let records = known.reduce(into: [:]) { $0[$1.hop.id] = $1.record }
      for hop in claim.outstanding {
        let record = hop.parent.flatMap { records[$0] }
        outgoing.append(record.map { BridgeOutgoing(hop, from: $0) } ?? BridgeOutgoing(hop))
      }
      guard worker.bridge.commands == .publish else { return }
      let digests = try BridgeJournal.digests(claim.known, on: connection)
      for answer in known {
        guard let digest = digests[answer.hop.id] else { continue }
        var routes = version
        if digest != version.digest, case .kept(let kept)? = try worker.routes.versions?.version(digest, on: connection) {
          routes = kept
        }
        let repeated = worker.bridge.route(answer, by: routes, now: now)
        outgoing += repeated.records.filter { $0.topic == Topic.workflowInternalAction }
      }
    }

    /// Leaves out answers to no hop of ours that repeat what is known. What that led to and nobody has taken is sent again.
    private func leaveRepeats(
      _ places: [HopId: ForeignRecord.Place], _ sent: [OutgoingHop], _ connection: Connection
    ) throws {
      // Of several answers of one place in a batch the first one speaks.
      var taken: Set<ForeignRecord> = []
      var records: [HopId: BridgeRecord] = [:]
      answers.removeAll { answer in
        guard let place = places[answer.hop.id] else { return false }
        let isFirst = taken.insert(ForeignRecord(answer.message, process: answer.process, stage: answer.stage)).inserted
        // Every answer that another stage owes us has a row that is open.
        if isFirst, place.isOpen || !place.isRepeat(isAnswer: true, leadsBack: { _ in false }) { return false }
        for hop in place.done { records[hop] = answer.record }
        redelivered += 1
        return true
      }
      let again = Set(sent.map(\.id))
      for hop in try Journal.outstanding(of: records.keys, connection) where !again.contains(hop.id) {
        outgoing.append(hop.parent.flatMap { records[$0] }.map { BridgeOutgoing(hop, from: $0) } ?? BridgeOutgoing(hop))
      }
    }

    private func decide(_ known: [HopId: ForeignRecord.Place], _ connection: Connection) throws {
      let places = try BridgeJournal.take(
        answers.map {
          BridgeJournal.Answer(
            id: $0.hop.id, rid: $0.message.rid, process: $0.process, iteration: $0.message.iteration, stage: $0.stage)
        }, on: connection)
      for (answer, place) in zip(answers, places) {
        var answer = answer
        if let known = known[answer.hop.id] {
          (answer.hop.run, answer.hop.attempt) = (place?.run ?? known.run, place?.attempt ?? known.nextTry)
        }
        if place?.isSuperseded == true {
          worker.log.info("the answer of a run that was ended is left aside", ["rid": answer.message.rid])
          continue
        }
        var outcome = try route(answer, connection)
        // It was given up, and is on its way after all.
        if known[answer.hop.id]?.status == .reprocessFailed {
          outcome.hop.registrationStatus = outcome.hop.registrationStatus ?? .processing
        }
        outgoing += outcome.records
        outcomes.append(outcome)
      }
    }

    private func route(_ answer: Bridge.Answer, _ connection: Connection) throws -> Bridge.Outcome {
      let bridge = worker.bridge
      guard version.isPinned(answer.process), let versions = worker.routes.versions else {
        return bridge.route(answer, by: version, now: now)
      }
      var packet = RouteVersions.Packet(answer.message, run: answer.hop.run)
      packet.process = answer.process
      switch try versions.version(of: packet, in: version, on: connection) {
      case .inForce: return bridge.route(answer, by: version, now: now)
      case .kept(let routes): return bridge.route(answer, by: routes, now: now)
      case .unreadable(let digest):
        return bridge.lost(
          bridge.begun(answer, by: version, now: now), answer, "RPR-RTE-003", RouteVersions.unreadable(digest))
      }
    }

    /// Counts the batch once it is on the bus.
    func count(_ metrics: StageMetrics) {
      var tally = Tally(unreadable: letters.count)
      for outcome in outcomes { tally.add(outcome.hop) }
      metrics.count(tally)
      metrics.redelivered.add(redelivered, ordering: .relaxed)
    }
  }
}
