import Postgres
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct RouteVersionsTests {
  private static let pinned = Bench.route.replacing("  TEST:\n", with: "  TEST:\n    pin: true\n")
  private static func throughC(_ text: String) -> String { text.replacing("- b:", with: "- c\n      - b:") }

  /// Puts a version in force as the engine does.
  private func take(_ bench: Bench, _ text: String) async throws -> RouteFile {
    let routes = try Bench.routes(text)
    try await bench.pool.with { try RouteVersions.keep(routes, on: $0) }
    bench.table.replace(routes)
    return routes
  }

  private func way(_ bench: Bench, _ rid: String) async throws -> [String] {
    #expect(try await eventually { try await bench.status(rid) == "PROCESSED" })
    return try await bench.journey(rid)?.hops.map(\.stage) ?? []
  }

  private func startAll(_ bench: Bench) throws -> OutboxRelay {
    for (number, stage) in ["a", "b", "c"].enumerated() { try bench.start(stage, name: "w\(number)") }
    return try bench.relay()
  }

  @Test func `packets of a pinned flow finish on the version they began with`() async throws {
    try await Bench.run(route: Self.pinned) { bench async throws in
      let old = try await take(bench, Self.pinned)
      try await bench.enter("1")
      let new = try await take(bench, Self.throughC(Self.pinned))
      try await bench.enter("2")
      let relay = try startAll(bench)
      #expect(try await way(bench, "1") == ["entrance", "a", "b"])
      #expect(try await way(bench, "2") == ["entrance", "a", "c", "b"])
      relay.stop()
      #expect(Set(try await bench.journey("1")?.hops.map(\.routeDigest) ?? []) == [old.digest])
      #expect(Set(try await bench.journey("2")?.hops.map(\.routeDigest) ?? []) == [new.digest])
    }
  }

  @Test func `without a pin the next hop goes by the new version`() async throws {
    try await Bench.run { bench async throws in
      _ = try await take(bench, Bench.route)
      try await bench.enter("1")
      _ = try await take(bench, Self.throughC(Bench.route))
      let relay = try startAll(bench)
      #expect(try await way(bench, "1") == ["entrance", "a", "c", "b"])
      relay.stop()
    }
  }

  @Test func `taking the pin out lets all packets go on by the new version`() async throws {
    try await Bench.run(route: Self.pinned) { bench async throws in
      _ = try await take(bench, Self.pinned)
      try await bench.enter("1")
      _ = try await take(bench, Self.throughC(Bench.route))
      let relay = try startAll(bench)
      #expect(try await way(bench, "1") == ["entrance", "a", "c", "b"])
      relay.stop()
    }
  }

  @Test func `a replay of a pinned packet begins with the version in force`() async throws {
    try await Bench.run(route: Self.pinned) { bench async throws in
      _ = try await take(bench, Self.pinned)
      try await bench.enter("1")
      let relay = try startAll(bench)
      #expect(try await way(bench, "1") == ["entrance", "a", "b"])
      _ = try await take(bench, Self.throughC(Self.pinned))
      let replay = Replay(
        routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b", "c"])
      _ = try await bench.pool.with {
        try replay.start(rid: "1", from: "a", author: "tester", reason: nil, isForced: true, on: $0)
      }
      #expect(try await eventually { try await bench.journey("1")?.hops.count == 6 })
      #expect(try await way(bench, "1") == ["entrance", "a", "b", "a", "c", "b"])
      relay.stop()
    }
  }

  @Test func `a version that cannot be read any more makes a dead letter and no guess`() async throws {
    try await Bench.run(route: Self.pinned) { bench async throws in
      let old = try await take(bench, Self.pinned)
      try await bench.enter("1")
      _ = try await take(bench, Self.throughC(Self.pinned))
      try await bench.run("UPDATE regproc.route_version SET routes = 'version: 9' WHERE digest = $1", [.text(old.digest)])
      let relay = try startAll(bench)
      #expect(try await eventually { try await bench.text("SELECT code FROM regproc.dead_letter") == "RPR-RTE-003" })
      relay.stop()
      #expect(try await bench.text("SELECT reason FROM regproc.dead_letter")?.contains(old.digest) == true)
      #expect(bench.broker.records("b-bus-in").isEmpty && bench.broker.records("c-bus-in").isEmpty)
    }
  }

  @Test func `a packet that began before versions were kept goes by the one in force`() async throws {
    try await Bench.run { bench async throws in
      try await bench.enter("1")
      _ = try await take(bench, Self.throughC(Self.pinned))
      let relay = try startAll(bench)
      #expect(try await way(bench, "1") == ["entrance", "a", "c", "b"])
      relay.stop()
    }
  }

  @Test func `a kept version is read when a stage of it is installed no more`() async throws {
    try await Bench.run { bench async throws in
      let text = """
        version: 1
        foreign-stages: { other: { topic: oth } }
        flows:
          TEST:
            pin: true
            on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
            route: [entrance, gone, other, { b: { passed: complete-as-processed } }]
        """
      let stages = Bench.stages.adding([StageDirectory.Entry("gone", topicPrefix: "g-o-n-e")])
      let reading = RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages)
      let routes = try #require(reading.file, "\(reading.report())")
      try await bench.pool.with { try RouteVersions.keep(routes, on: $0) }
      let versions = RouteVersions(pool: bench.pool, stages: Bench.stages)
      guard case .kept(let kept) = try await bench.pool.with({ try versions.version(routes.digest, on: $0) }) else {
        Issue.record("the version cannot be read")
        return
      }
      #expect(kept.digest == routes.digest && kept.busIn(of: "gone") == "g-o-n-e-bus-in" && kept.busIn(of: "other") == "oth-bus-in")
    }
  }

  @Test func `every process tells by which version it routes`() async throws {
    try await Bench.run { bench async throws in
      let started = Instant.now
      let reports = RouteReports(bench.table, pool: bench.pool, instance: "one", stages: ["b", "a"], startedAt: started)
      let threads = BlockingPool(name: "reports", threads: 1)
      defer { threads.close() }
      func status() async throws -> RouteStatus { try await bench.pool.with { try RouteStatus.read($0) } }
      let old = try await take(bench, Bench.route)
      reports.start()
      #expect(try await eventually { try await status().reports.count == 1 })
      let first = try #require(try await status().reports.first)
      #expect(first.instance == "one" && first.stages == ["a", "b"] && first.isAlive && first.refused == nil)
      #expect(first.digest == old.digest)

      try await bench.enter("1")
      let new = try await take(bench, Self.throughC(Bench.route))
      reports.reportNow()
      #expect(try await eventually { try await status().reports.first?.digest == new.digest })
      bench.table.reject("line 3: bad")
      reports.reportNow()
      #expect(try await eventually { try await status().reports.first?.refused == "line 3: bad" })
      let versions = try await status().versions
      #expect(versions.map(\.digest) == [new.digest, old.digest] && versions.map(\.packets) == [0, 1])

      // One that ended without a word.
      try await bench.run(
        """
        INSERT INTO regproc.route_report VALUES ('dead', 'c', 'd', NULL, now(), now(), now() - interval '1 minute'),
          ('long-dead', 'c', 'd', NULL, now(), now(), now() - interval '2 days')
        """)
      #expect(try await status().reports.map { "\($0.instance) \($0.isAlive)" } == ["dead false", "one true"])
      reports.stop()
      try await threads.run { reports.join() }
      #expect(try await status().reports.map(\.instance) == ["dead"])
    }
  }
}
