import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.serialized, .timeLimit(.minutes(30))) struct IdentifierPoolTests {
  @Test func `an empty pool is filled by whoever needs one first`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "1:uin-generator")
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE is_free") == World.fill - 1)
    }
  }

  @Test func `no UIN is taken twice by many tasks of several processes`() async throws {
    try await World.run { world async throws in
      let other = world.anotherPool()
      defer { other.close() }
      let repositories = [try world.repository(), try world.repository(other)]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<12 {
          group.addTask {
            for n in 0..<15 {
              try await repositories[task % 2].createDraft(
                rid: "r\(task)-\(n)", uin: nil, idempotencyKey: "k\(task)-\(n)")
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await world.number("SELECT count(DISTINCT uin_hash) FROM platform.draft") == 180)
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 180)
    }
  }

  @Test func `a UIN whose taker dies before the end is free again and only then`() async throws {
    try await World.run { world async throws in
      let identifiers = IdentifierPools(sealer: world.sealer, rules: World.rules)
      try await world.pool.with { try identifiers.fillAhead($0) }
      let free = try await world.number("SELECT count(*) FROM platform.uin WHERE is_free")
      let (lost, kept) = try await world.blocking.run {
        let dying = try Connection(world.database)
        _ = try dying.execute("BEGIN")
        let lost = try identifiers.takeUIN(dying).hash
        // While its taker lives, nobody else gets it, and nobody waits for it.
        let living = try Connection(world.database)
        let kept = try living.transaction { try identifiers.takeUIN(living).hash }
        dying.close()
        living.close()
        return (lost, kept)
      }
      #expect(lost != kept)
      #expect(try await eventuallyFree(world, lost))
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE is_free") == (free ?? 0) - 1)
    }
  }

  /// The server notices a closed connection by itself.
  private func eventuallyFree(_ world: World, _ hash: [UInt8]) async throws -> Bool {
    try await world.number(
      "SELECT count(*) FROM platform.uin WHERE uin_hash = $1 AND is_free", [.bytes(hash)]) == 1
  }

  @Test func `the pool is filled ahead when few are left`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.prepare()
      try await world.run(
        "UPDATE platform.uin SET is_free = false WHERE uin_hash IN (SELECT uin_hash FROM platform.uin LIMIT 76)")
      try await world.run(
        "UPDATE platform.vid SET is_free = false WHERE vid IN (SELECT vid FROM platform.vid LIMIT 76)")
      try await repository.prepare()
      try await repository.prepare()
      for table in ["uin", "vid"] {
        #expect(try await world.number("SELECT count(*) FROM platform.\(table) WHERE is_free") == 124)
      }
    }
  }

  @Test func `what the pool gives is valid and stands nowhere in the clear`() async throws {
    try await World.run { world async throws in
      let identifiers = IdentifierPools(sealer: world.sealer, rules: World.rules)
      let taken = try await world.pool.with { connection in
        try identifiers.fillAhead(connection)
        return try connection.transaction { try identifiers.takeUIN(connection) }
      }
      let uin = taken.uin
      #expect(UINRules().check(uin) == nil && world.sealer.hash(uin) == taken.hash)
      let rows = try await world.pool.with {
        try $0.execute("SELECT encode(sealed, 'escape') FROM platform.uin").map { try $0.text(0) }
      }
      #expect(!rows.contains { $0.contains(uin) })
      let vid = try await world.pool.with { try identifiers.takeVID($0, owner: taken.hash, type: "PERPETUAL") }
      #expect(VIDRules().check(vid) == nil)
    }
  }

  /// Lets the server end connections of an application in the midst of their work, again and again, until a closure returns.
  private func killing(_ application: String, _ world: World, while body: () async throws -> Void) async throws {
    let killer = Task.detached {
      while !Task.isCancelled {
        _ = try? await world.pool.with {
          try $0.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = $1 ORDER BY random() LIMIT 1
            """, [.text(application)])
        }
        try? await Task.sleep(for: .milliseconds(15))
      }
    }
    defer { killer.cancel() }
    try await body()
  }

  @Test func `unique for ever also when processes are killed in the midst of taking and filling`() async throws {
    try await World.run { world async throws in
      // A fill of 10: most takers find an empty pool, and most kills hit a fill or a taker who waits for one.
      let rules = IdentifierRules(uinFill: 10, vidFill: 10)
      var victims = world.database
      victims.applicationName = "victim"
      let settings = victims
      let pools = (0..<3).map { _ in Pool(settings, size: 4) }
      defer { for pool in pools { pool.close() } }
      let repositories = try pools.map { try world.repository($0, rules) }
      let failures = Tally()
      try await killing("victim", world) {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for task in 0..<9 {
            group.addTask {
              for n in 0..<12 {
                let rid = "r\(task)-\(n)"
                // As a stage does: the same step again until it is done.
                try await eventually("draft \(rid)") {
                  do {
                    try await repositories[task % 3].createDraft(rid: rid, uin: nil, idempotencyKey: rid)
                    return true
                  } catch let error as ServiceError where error.isRetriable {
                    failures.add()
                    return false
                  }
                }
              }
            }
          }
          try await group.waitForAll()
        }
      }
      #expect(failures.count > 0, "somebody was killed")
      #expect(try await world.number("SELECT count(*) FROM platform.draft") == 108)
      #expect(try await world.number("SELECT count(DISTINCT uin_hash) FROM platform.draft") == 108)
      // Neither lost nor given twice: what is not free has an owner.
      #expect(
        try await world.number(
          "SELECT count(*) FROM platform.uin u WHERE NOT is_free AND NOT EXISTS (SELECT 1 FROM platform.draft d WHERE d.uin_hash = u.uin_hash)"
        ) == 0)
      #expect(
        try await world.number("SELECT count(*) FROM platform.uin u JOIN platform.draft d USING (uin_hash) WHERE is_free") == 0)
    }
  }

  @Test func `many who find the pool empty wait for one fill and not for one each`() async throws {
    try await World.run { world async throws in
      let other = world.anotherPool()
      defer { other.close() }
      let repositories = [try world.repository(), try world.repository(other)]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<10 {
          group.addTask {
            try await repositories[task % 2].createDraft(rid: "r\(task)", uin: nil, idempotencyKey: "k\(task)")
          }
        }
        try await group.waitForAll()
      }
      #expect(try await world.number("SELECT count(*) FROM platform.uin") == World.fill)
    }
  }

  @Test func `a free UIN that does not open is set aside and the next one is taken`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.prepare()
      let oldest = "(SELECT uin_hash FROM platform.uin ORDER BY made_at, uin_hash LIMIT 3)"
      try await world.run("UPDATE platform.uin SET sealed = 'x', made_at = now() - interval '1 h' WHERE uin_hash IN \(oldest)")
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "1")
      let aside = "SELECT count(*) FROM platform.uin WHERE unopened_at IS NOT NULL AND NOT is_free"
      #expect(try await world.number(aside) == 3)
      // Also when none of those that are left opens.
      try await world.run("UPDATE platform.uin SET sealed = 'x' WHERE is_free")
      try await repository.createDraft(rid: "2", uin: nil, idempotencyKey: "2")
      #expect(try await world.number(aside) == World.fill - 1)
      #expect(try await world.number("SELECT count(DISTINCT uin_hash) FROM platform.draft") == 2)
    }
  }

  @Test func `free UINs whose key this folder alone lacks stay free for others`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.prepare()
      try await world.run(
        "INSERT INTO platform.sealing_key (id, is_current, check_value, hash_check) VALUES (7, false, '', '')")
      try await world.run(
        "UPDATE platform.uin SET sealed = $1", [.bytes(Sealer.header(7) + [UInt8](repeating: 7, count: 60))])
      for rid in ["1", "2"] { try await repository.createDraft(rid: rid, uin: nil, idempotencyKey: rid) }
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE unopened_at IS NOT NULL") == 0)
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE is_free") == 2 * World.fill - 2)
    }
  }

  @Test func `nobody waits for a filler that has stopped`() async throws {
    try await World.run { world async throws in
      let stopped = try await world.blocking.run { () -> Stopped in
        let connection = try Connection(world.database)
        _ = try connection.execute("BEGIN")
        _ = try connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('identifier pool uin', 0))")
        return Stopped(connection)
      }
      // It holds the lock for as long as this test likes; a process starts and a call comes back nevertheless.
      try await world.repository().prepare()
      try await world.repository().createDraft(rid: "1", uin: nil, idempotencyKey: "1")
      #expect(try await world.number("SELECT count(*) FROM platform.draft") == 1)
      try await world.blocking.run { stopped.connection.close() }
    }
  }
}

/// A connection that nobody works with.
private final class Stopped: @unchecked Sendable {
  // Safe: used on the threads of one pool, one after another.
  let connection: Connection
  init(_ connection: Connection) { self.connection = connection }
}

/// Counts what many tasks saw.
private final class Tally: Sendable {
  private let value = Atomic<Int>(0)
  var count: Int { value.load(ordering: .relaxed) }
  func add() { value.add(1, ordering: .relaxed) }
}
