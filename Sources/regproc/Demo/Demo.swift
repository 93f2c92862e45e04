import Postgres
import StageRuntime
import StandIn
import Synchronization
import System

/// Sends events through a running pipeline and waits for what becomes of them.
final class Demo: Sendable {
  let events: [DemoEvent]
  let pipeline: Pipeline
  let signals: Signals
  private let standIn: StandInOpenCRVS
  private let console: Console
  private let timeout: Double

  private struct Sent: Sendable {
    var at: ContinuousClock.Instant
    /// Why the mediator did not take it.
    var refusal: String?
    /// What it said beside taking it.
    var codes: [String] = []
  }
  private let sent: Mutex<[Int: Sent]> = Mutex([:])
  private let seenProcesses: Mutex<[String]> = Mutex([])

  init(
    events: [DemoEvent], pipeline: Pipeline, standIn: StandInOpenCRVS, signals: Signals, console: Console, timeout: Double
  ) {
    self.events = events
    self.pipeline = pipeline
    self.standIn = standIn
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
    await send(to: callback)
    let last = await waitForAnswers(until: beginning + .seconds(timeout))
    console.progress("")
    var results: [DemoResult] = []
    for index in events.indices { results.append(try await result(of: index)) }
    return (results, beginning.duration(to: last).inSeconds)
  }

  /// Waits until the mediator has subscribed and every stage takes messages.
  private func subscribed() async throws -> String {
    let end = ContinuousClock.now + .seconds(60)
    while !signals.isStopping {
      if let callback = standIn.callback(of: "BIRTH_REGISTERED"), pipeline.engine.isReady { return callback }
      guard ContinuousClock.now < end else {
        throw Failure("the pipeline did not get ready within 60 seconds; --log-level info shows what it does")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure("stopped before anything was sent")
  }

  private func send(to callback: String) async {
    let queue = NextIndex()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<min(8, events.count) {
        group.addTask { [self] in
          while let index = queue.take(below: events.count), !signals.isStopping {
            let start = ContinuousClock.now
            do {
              let codes = try await standIn.send(events[index].body, to: callback)
              sent.withLock { $0[index] = Sent(at: start, codes: codes) }
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
    let numbers = events.compactMap(\.registrationNumber)
    let count = sent.withLock { $0.count }
    console.progress("  sent \(count) of \(events.count), came back \(standIn.ended(among: numbers))")
  }

  /// Waits until every event that was taken has its answer.
  /// - Returns: when the last answer came.
  private func waitForAnswers(until end: ContinuousClock.Instant) async -> ContinuousClock.Instant {
    var turns = 0
    while ContinuousClock.now < end, !signals.isStopping {
      let open = await openEvents(looksIntoStore: turns % 20 == 10)
      if open.isEmpty { break }
      turns += 1
      if turns % 4 == 0 { progress() }
      try? await Task.sleep(for: .milliseconds(25))
    }
    let last = events.compactMap { $0.registrationNumber.flatMap { standIn.returned($0).endedAt } }.max() ?? ContinuousClock.now
    // The token may be back before the last stage has written its hop.
    let grace = min(end, ContinuousClock.now + .seconds(15))
    while ContinuousClock.now < grace, !signals.isStopping {
      var isOver = true
      for event in events {
        guard let number = event.registrationNumber, let rid = standIn.returned(number).rid,
          let journey = try? await pipeline.pool.with({ try Journey.read(rid: rid, on: $0) })
        else { continue }
        if !journey.hasEnded { isOver = false }
      }
      if isOver { break }
      try? await Task.sleep(for: .milliseconds(100))
    }
    return last
  }

  private func openEvents(looksIntoStore: Bool) async -> [Int] {
    let sent = sent.withLock { $0 }
    var open: [Int] = []
    for (index, event) in events.enumerated() {
      guard let mine = sent[index], mine.refusal == nil, event.kind == .birth, let number = event.registrationNumber else {
        continue
      }
      let returned = standIn.returned(number)
      if returned.token != nil || returned.error != nil { continue }
      // An event that this folder knew before is not told to OpenCRVS a second time.
      if looksIntoStore, await known(number)?.result != nil { continue }
      open.append(index)
    }
    return open
  }

  /// What the mediator has kept of a registration number: for events that came back in an earlier demo.
  private func known(_ number: String) async -> (rid: String?, token: String?, error: String?, result: String?)? {
    try? await pipeline.pool.with { connection in
      let rows = try connection.execute(
        """
        SELECT collection, document->>'aid', document->>'uinToken', document->'errors'->0->>'errorCode' FROM regproc.stage_record
        WHERE stage = 'opencrvs-mediator' AND document->>'registrationNumber' = $1
        """, [.text(number)])
      var out: (rid: String?, token: String?, error: String?, result: String?) = (nil, nil, nil, nil)
      for row in rows {
        if let rid = try row.textOrNull(1) { out.rid = rid }
        switch try row.text(0) {
        case "tokens":
          out.token = try row.textOrNull(2)
          out.result = "uin-token"
        case "statuses":
          out.error = try row.textOrNull(3)
          if out.result == nil { out.result = "error" }
        default: break
        }
      }
      return out
    }
  }

  private func result(of index: Int) async throws -> DemoResult {
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
    guard mine != nil, let number = event.registrationNumber else { return result }
    let returned = standIn.returned(number)
    let before = returned.rid == nil || (returned.token == nil && returned.error == nil) ? await known(number) : nil
    result.rid = returned.rid ?? before?.rid
    result.token = returned.token ?? before?.token
    if let code = mine?.codes.first {
      result.result = "error"
      result.errorCode = code
    } else if result.token != nil {
      result.result = "uin-token"
    } else if let error = returned.error ?? before?.error {
      result.result = "error"
      result.errorCode = error.split(separator: ":").first.map(String.init)
    }
    if let mine, let end = returned.endedAt { result.seconds = mine.at.duration(to: end).inSeconds }
    if let rid = result.rid, let journey = try await pipeline.pool.with({ try Journey.read(rid: rid, on: $0) }) {
      seenProcesses.withLock { $0.append(journey.process) }
      result.hops = journey.hops.map {
        DemoResult.Hop(stage: $0.stage, verdict: $0.verdict ?? $0.state, milliseconds: $0.milliseconds)
      }
    }
    return result
  }
}

/// Numbers from zero on, one for each who asks.
private final class NextIndex: Sendable {
  private let next = Mutex(0)

  func take(below end: Int) -> Int? {
    next.withLock { next in
      guard next < end else { return nil }
      defer { next += 1 }
      return next
    }
  }
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
