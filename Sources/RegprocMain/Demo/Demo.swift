import OpenCRVS
import Postgres
import StageRuntime
import StandIn
import Synchronization
import System

/// Sends events through a running pipeline, wave by wave, and waits for what becomes of them.
final class Demo: Sendable {
  let events: [DemoEvent]
  private let target: DemoTarget
  let signals: Signals
  private let openCRVS: any DemoOpenCRVS
  private let console: Console
  private let timeout: Double

  private struct Sent: Sendable {
    var at: ContinuousClock.Instant
    /// Why the mediator did not take it.
    var refusal: String?
    /// What it said beside taking it.
    var codes: [String] = []
    /// When its end was seen, for one whose end does not come to OpenCRVS.
    var endedAt: ContinuousClock.Instant?
    /// Under which it is kept.
    var key: String?
  }
  private let sent: Mutex<[Int: Sent]> = Mutex([:])
  private let seenProcesses: Mutex<[String]> = Mutex([])
  private let released: Mutex<Set<String>> = Mutex([])

  init(
    events: [DemoEvent], target: DemoTarget, openCRVS: any DemoOpenCRVS, signals: Signals, console: Console,
    timeout: Double
  ) {
    self.events = events
    self.target = target
    self.openCRVS = openCRVS
    self.signals = signals
    self.console = console
    self.timeout = timeout
  }

  /// The processes that journeys had.
  var processes: [String] { seenProcesses.withLock { $0 } }

  /// Does all of it.
  /// - Returns: the results in the order of the events, and the seconds from the first webhook to the last answer.
  func run() async throws -> ([DemoResult], Double) {
    let callback = try await subscribed()
    let beginning = ContinuousClock.now
    let end = beginning + .seconds(timeout)
    for wave in Set(events.map(\.wave)).sorted() {
      let indices = events.indices.filter { events[$0].wave == wave }
      await send(indices, to: callback)
      await waitForAnswers(to: indices, until: end)
    }
    let last = events.indices.compactMap(endedAt).max() ?? ContinuousClock.now
    console.progress("")
    let states = try await states(of: Array(events.indices))
    await waitForHops(of: states, until: end)
    var results: [DemoResult] = []
    for index in events.indices { results.append(try await result(of: index, key(of: index).flatMap { states[$0] })) }
    return (results, beginning.duration(to: last).inSeconds)
  }

  /// Waits until the mediator has subscribed and every stage takes messages.
  private func subscribed() async throws -> String {
    let end = ContinuousClock.now + .seconds(60)
    while !signals.isStopping {
      if let callback = target.webhooks() { return callback }
      guard ContinuousClock.now < end else {
        throw Failure("the pipeline did not get ready within 60 seconds; --log-level info shows what it does")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure("stopped before anything was sent")
  }

  private func send(_ indices: [Int], to callback: String) async {
    let queue = Queue(indices)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<min(8, indices.count) {
        group.addTask { [self] in
          while let index = queue.take(), !signals.isStopping {
            let start = ContinuousClock.now
            do {
              let codes = try await openCRVS.send(events[index], to: callback)
              let key = try await keptKey(of: events[index])
              // What was taken and is not kept is nothing to MOSIP.
              let isOver = codes.isEmpty && key == nil && events[index].deed != nil
              sent.withLock { $0[index] = Sent(at: start, codes: codes, endedAt: isOver ? .now : nil, key: key) }
            } catch {
              sent.withLock { $0[index] = Sent(at: start, refusal: "\(error)") }
            }
            progress()
          }
        }
      }
    }
  }

  private func progress() {
    let count = sent.withLock { $0.count }
    let ended = events.indices.count { endedAt($0) != nil }
    console.progress("  sent \(count) of \(events.count), came back \(ended)")
  }

  /// When an event ended: a birth when its answer came to OpenCRVS.
  private func endedAt(_ index: Int) -> ContinuousClock.Instant? {
    let event = events[index]
    guard event.kind == .birth else { return sent.withLock { $0[index]?.endedAt } }
    return openCRVS.answer(to: event).endedAt
  }

  /// The key of its work in both mediators, once it is sent.
  private func key(of index: Int) -> String? { events[index].key ?? sent.withLock { $0[index]?.key } }

  /// The key under which the mediator has kept what was sent just now.
  private func keptKey(of event: DemoEvent) async throws -> String? {
    if let key = event.key { return key }
    guard event.deed != nil, let id = event.recordId else { return nil }
    return try await target.pool.with { try EventState.latestKey(of: id, kind: event.kind.rawValue, on: $0) }
  }

  /// Waits until every event that was taken has its answer.
  private func waitForAnswers(to indices: [Int], until end: ContinuousClock.Instant) async {
    var turns = 0
    while ContinuousClock.now < end, !signals.isStopping {
      let births = await openBirths(indices, looksIntoStore: turns % 20 == 10)
      let isOver = await openChanges(indices).isEmpty && births.isEmpty
      if isOver { return }
      turns += 1
      if turns % 4 == 0 { progress() }
      try? await Task.sleep(for: .milliseconds(25))
    }
  }

  private func openBirths(_ indices: [Int], looksIntoStore: Bool) async -> [Int] {
    let sent = sent.withLock { $0 }
    var open: [Int] = []
    for index in indices {
      let event = events[index]
      guard let mine = sent[index], mine.refusal == nil, event.kind == .birth, openCRVS.answer(to: event).isAwaited else {
        continue
      }
      // An event that this folder knew before is not told to OpenCRVS a second time.
      if looksIntoStore, await known(event)?.result != nil { continue }
      open.append(index)
    }
    return open
  }

  /// The changes that were taken and have not ended; what policy holds is released on the way.
  private func openChanges(_ indices: [Int]) async -> [Int] {
    let sent = sent.withLock { $0 }
    let waiting = indices.filter { index in
      guard let mine = sent[index], mine.refusal == nil, mine.codes.isEmpty, mine.endedAt == nil else { return false }
      return events[index].kind != .birth && key(of: index) != nil
    }
    guard !waiting.isEmpty, let states = try? await states(of: waiting) else { return waiting }
    var open: [Int] = []
    for index in waiting {
      let state = key(of: index).flatMap { states[$0] }
      if state?.isHeld == true, !isMeantToBeHeld(events[index]) {
        await release(index, state?.aid)
      } else if state?.end != nil && !openCRVS.answer(to: events[index]).isAwaited || state?.isHeld == true {
        self.sent.withLock { $0[index]?.endedAt = ContinuousClock.now }
        continue
      }
      open.append(index)
    }
    return open
  }

  private func states(of indices: [Int]) async throws -> [String: EventState] {
    let keys = indices.compactMap { key(of: $0) }
    return try await target.pool.with { try EventState.read(keys: keys, on: $0) }
  }

  /// Whether being held is the end that was asked for.
  private func isMeantToBeHeld(_ event: DemoEvent) -> Bool {
    guard case .error(let codes) = event.goal else { return false }
    return codes.isEmpty || codes.contains(Self.heldCode)
  }

  /// What a change is told with that waits for a person.
  private static let heldCode = "OPN-CRVS-009"

  /// Decides as the person would who looked into a reversal: once for each change.
  private func release(_ index: Int, _ aid: String?) async {
    let event = events[index]
    guard let key = key(of: index), released.withLock({ $0.insert(key).inserted }) else { return }
    do {
      _ = try await target.pool.with {
        try Release.start(
          key, author: "regproc demo", reason: "the demo lets it go on, as a person would who looked into it", on: $0)
      }
      console.progress("")
      console.err(
        "regproc: \(event.name) was held, as policy has it, and is released: regproc release \(aid ?? key) --reason ...\n")
    } catch {
      console.err("regproc: \(event.name) is held and cannot be released: \(error)\n")
    }
  }

  /// The answer may be back before the last stage has written its hop.
  private func waitForHops(of states: [String: EventState], until end: ContinuousClock.Instant) async {
    let grace = min(end, ContinuousClock.now + .seconds(15))
    while ContinuousClock.now < grace, !signals.isStopping {
      var isOver = true
      for index in events.indices {
        guard let rid = rid(of: events[index], key(of: index).flatMap { states[$0] }),
          let journey = try? await target.pool.with({ try Journey.read(rid: rid, on: $0) })
        else { continue }
        if !journey.hasEnded { isOver = false }
      }
      if isOver { return }
      try? await Task.sleep(for: .milliseconds(100))
    }
  }

  /// The application id. What came to OpenCRVS by a number may be that of another event of the same record.
  private func rid(of event: DemoEvent, _ state: EventState?) -> String? {
    state?.aid ?? (event.kind == .birth ? openCRVS.answer(to: event).rid : nil)
  }

  /// What the mediator has kept of a registration number: for births that came back in an earlier demo. What OpenCRVS is still to be told
  /// is not over: the mediator keeps a token before it tells it.
  private func known(_ event: DemoEvent) async -> (token: String?, error: String?, result: String?)? {
    guard event.deed == nil, let number = event.registrationNumber else { return nil }
    var found = try? await target.pool.with { connection in
      let rows = try connection.execute(
        """
        SELECT collection, coalesce(document->>'sealedToken', document->>'uinToken'), document->'errors'->0->>'errorCode'
        FROM regproc.stage_record AS r
        WHERE stage = 'opencrvs-mediator' AND document->>'registrationNumber' = $1
          AND (collection = 'tokens' OR collection = 'statuses' AND document->>'type' = 'birth')
          AND NOT EXISTS (
            SELECT FROM regproc.work AS w WHERE w.stage = r.stage AND w.kind = 'tell' AND w.state = 0
              AND w.key LIKE '%:' || r.collection || ':' || r.key)
        """, [.text(number)])
      var out: (token: String?, error: String?, result: String?) = (nil, nil, nil)
      for row in rows {
        if try row.text(0) == "tokens" {
          out.token = try row.textOrNull(1)
          out.result = "uin-token"
        } else {
          out.error = try row.textOrNull(2)
          if out.result == nil { out.result = "error" }
        }
      }
      return out
    }
    let token = await opened(found?.token)
    found?.token = token
    return found
  }

  /// A UIN token as OpenCRVS knows it.
  private func opened(_ kept: String?) async -> String? {
    guard let kept, let keys = target.envelopeKeys else { return nil }
    return try? await KeptToken.opened(kept, keys)
  }

  private func result(of index: Int, _ state: EventState?) async throws -> DemoResult {
    let event = events[index]
    let mine = sent.withLock { $0[index] }
    var result = DemoResult(event: event, result: "unfinished")
    if let refusal = mine?.refusal {
      result.result = "error"
      let words = refusal.split { $0 == " " || $0 == ":" }.map(String.init)
      result.errorCode = words.first { $0.hasPrefix("OPN-") || $0.hasPrefix("RPR-") } ?? "refused"
      console.err("regproc: \(event.name): \(refusal)\n")
      return result
    }
    guard let mine else { return result }
    result.event.registrationNumber = openCRVS.answer(to: event).number
    result.rid = rid(of: event, state)
    if let code = mine.codes.first {
      result.result = "error"
      result.errorCode = code
    } else if event.kind == .birth {
      await birthEnd(event, state, &result)
    } else if mine.key == nil, event.deed != nil {
      result.result = "unchanged"
    } else {
      await changeEnd(event, state, &result)
    }
    if let end = endedAt(index) { result.seconds = mine.at.duration(to: end).inSeconds }
    if let rid = result.rid, let journey = try await target.pool.with({ try Journey.read(rid: rid, on: $0) }) {
      if event.kind == .birth { seenProcesses.withLock { $0.append(journey.process) } }
      result.hops = journey.hops.map {
        DemoResult.Hop(stage: $0.stage, verdict: $0.verdict ?? $0.state, milliseconds: $0.milliseconds)
      }
    }
    return result
  }

  private func birthEnd(_ event: DemoEvent, _ state: EventState?, _ result: inout DemoResult) async {
    let answer = openCRVS.answer(to: event)
    let before = answer.isAwaited ? await known(event) : nil
    result.token = answer.token ?? before?.token
    if result.token != nil {
      result.result = "uin-token"
    } else if let error = answer.error ?? before?.error {
      result.result = "error"
      result.errorCode = error
    } else if !answer.isAwaited, case .error(let code) = state?.end {
      // An OpenCRVS that rejects a registration is not told why.
      result.result = "error"
      result.errorCode = code
    }
  }

  private func changeEnd(_ event: DemoEvent, _ state: EventState?, _ result: inout DemoResult) async {
    result.token = await opened(state?.token)
    let answer = openCRVS.answer(to: event)
    if answer.isAwaited { return }
    switch state?.end {
    case .done where answer.isRefused:
      result.result = "error"
      result.errorCode = "refused"
    case .done(let what, let changed):
      // A correction of a birth that nobody sent is that birth.
      result.result = what == "created" ? "uin-token" : what
      result.changed = changed
    case .error(let code):
      result.result = "error"
      result.errorCode = code
    case nil where state?.isHeld == true:
      result.result = "error"
      result.errorCode = Self.heldCode
    case nil: break
    }
  }
}

/// Elements in their order, one for each who asks.
private final class Queue: Sendable {
  private let rest: Mutex<ArraySlice<Int>>

  init(_ elements: [Int]) { rest = Mutex(elements[...]) }

  func take() -> Int? { rest.withLock { $0.popFirst() } }
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
