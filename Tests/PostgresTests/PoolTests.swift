import TestSupport
import Glibc
import Synchronization
import System
import Testing

@testable import Postgres

@Suite(.timeLimit(.minutes(30))) struct PoolTests {
  @Test func `more tasks than connections are served in full`() async throws {
    let pool = Pool(SharedCluster.settings, size: 3)
    let processes = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<200 {
        group.addTask { try await pool.with { try $0.execute("select pg_backend_pid()").only().int(0) } }
      }
      return try await group.reduce(into: [Int]()) { $0.append($1) }
    }
    #expect(processes.count == 200)
    #expect(Set(processes).count <= 3)
    pool.close()
  }

  @Test func `work waits for a connection of the pool when the server has no room for more`() async throws {
    try await SharedCluster.connected { try $0.script("create role cramped login connection limit 2") }
    var settings = SharedCluster.settings
    settings.user = "cramped"
    let pool = Pool(settings, size: 8)
    // One connection at least must be had before the rest asks.
    _ = try await pool.with { try $0.execute("select 1").only().int(0) }
    let processes = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<100 {
        group.addTask {
          try await pool.with { try $0.execute("select pg_backend_pid() from pg_sleep(0.002)").only().int(0) }
        }
      }
      return try await group.reduce(into: [Int]()) { $0.append($1) }
    }
    #expect(processes.count == 100)
    #expect(Set(processes).count <= 2)
    pool.close()
  }

  @Test func `work fails at once when the pool has no connection and gets none`() async throws {
    var settings = SharedCluster.settings
    settings.user = "nobody_of_this_name"
    let pool = Pool(settings, size: 8)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<30 {
        group.addTask {
          let error = await #expect(throws: PostgresError.self) {
            try await pool.with { _ = try $0.execute("select 1") }
          }
          #expect(error?.code == .connectionFailed)
        }
      }
    }
    pool.close()
  }

  /// Often, because what it looks for is a moment: the server has said that it ends the session and has not closed the socket yet.
  @Test func `a connection that the server closed is replaced before its use`() async throws {
    let pool = Pool(SharedCluster.settings, size: 1)
    for _ in 0..<100 {
      let first = try await pool.with { try $0.execute("select pg_backend_pid()").only().int(0) }
      try await SharedCluster.connected { other in
        _ = try other.execute("select pg_terminate_backend($1)", [.int(first)])
        let end = ContinuousClock.now + .seconds(120)
        while try !other.execute("select 1 from pg_stat_activity where pid = $1", [.int(first)]).isEmpty {
          try #require(ContinuousClock.now < end)
        }
      }
      let second = try await pool.with { try $0.execute("select pg_backend_pid()").only().int(0) }
      #expect(second != first)
    }
    pool.close()
  }

  @Test func `a connection that the server closed is replaced`() async throws {
    let pool = Pool(SharedCluster.settings, size: 1)
    let first = try await pool.with { try $0.execute("select pg_backend_pid()").only().int(0) }
    try await SharedCluster.connected { other in
      _ = try other.execute("select pg_terminate_backend($1)", [.int(first)])
      try eventually(blocking: "the end of the session") {
        try other.execute("select 1 from pg_stat_activity where pid = $1", [.int(first)]).isEmpty
      }
    }
    let second = try await pool.with { try $0.execute("select pg_backend_pid()").only().int(0) }
    #expect(second != first)
    // Closed in the middle of work: that work fails, the next goes on.
    let died = await #expect(throws: PostgresError.self) {
      try await pool.with { _ = try $0.execute("select pg_terminate_backend(pg_backend_pid())") }
    }
    #expect(died?.code == .connectionFailed && died?.isRetriable == true)
    #expect(try await pool.with { try $0.execute("select 1").only().int(0) } == 1)
    pool.close()
  }

  @Test func `a transaction left open is not inherited`() async throws {
    let pool = Pool(SharedCluster.settings, size: 1)
    try await pool.with { connection in
      try connection.script("create table left_open (n int)")
      try connection.script("begin; insert into left_open values (1)")
    }
    #expect(try await pool.with { try $0.execute("select count(*) from left_open").only().int(0) } == 0)
    pool.close()
  }

  @Test func `serialization failures are tried again only when asked`() async throws {
    let pool = Pool(SharedCluster.settings, size: 2)
    try await pool.with { try $0.script("create table counter (n int); insert into counter values (0)") }
    let raises = "do $$ begin raise exception 'again' using errcode = '40001'; end $$"
    let runs = Mutex(0)
    let result = try await pool.transaction(isolation: .serializable, retries: 3) { connection in
      let run = runs.withLock { runs in
        runs += 1
        return runs
      }
      _ = try connection.execute("update counter set n = n + 1")
      if run < 3 { try connection.script(raises) }
      return run
    }
    #expect(result == 3)
    #expect(try await pool.with { try $0.execute("select n from counter").only().int(0) } == 1)
    let error = await #expect(throws: PostgresError.self) { try await pool.transaction { try $0.script(raises) } }
    #expect(error?.code == .serializationFailure && error?.isRetriable == true)
    pool.close()
  }

  @Test func `waiting is bounded and closing ends it`() async throws {
    let pool = Pool(SharedCluster.settings, size: 1, waitSeconds: 0.2)
    let release = Semaphore()
    let taken = Semaphore()
    async let held: Void = pool.with { _ in
      taken.signal()
      release.waitInTime()
    }
    try await blocking { taken.waitInTime() }
    let error = await #expect(throws: PostgresError.self) { try await pool.with { _ in } }
    #expect(error?.code == .poolExhausted && error?.isRetriable == true)
    release.signal()
    try await held
    #expect(try await pool.with { try $0.execute("select 1").only().int(0) } == 1)

    async let endless: Void = pool.with { connection in
      taken.signal()
      _ = try connection.execute("select pg_sleep(600)")
    }
    try await blocking { taken.waitInTime() }
    pool.close(interrupting: true)
    do {
      try await endless
      Issue.record("the statement was not ended")
    } catch let error as PostgresError {
      #expect(error.code == .connectionFailed)
    }
    let closed = await #expect(throws: PostgresError.self) { try await pool.with { _ in } }
    #expect(closed?.code == .poolClosed)
  }
}

@Suite(.timeLimit(.minutes(30))) struct MigratorTests {
  /// A database of its own, since the record of migrations is one for each database.
  private static func database(_ name: String) async throws -> PostgresSettings {
    try await SharedCluster.connected { try $0.script("create database \(name)") }
    var settings = SharedCluster.settings
    settings.database = name
    return settings
  }

  private static let two = [
    Migration(version: 2, name: "fill it", sql: "insert into thing values (1); insert into thing values (2)"),
    Migration(version: 1, name: "make a thing", sql: "create table thing (n int)"),
  ]

  @Test func `migrations that many apply at once are applied once`() async throws {
    let settings = try await Self.database("migrated_by_many")
    let applied = try await withThrowingTaskGroup(of: [Int].self) { group in
      for _ in 0..<8 {
        group.addTask {
          try await blocking { try Migrator.apply(Self.two, on: Connection(settings)).map(\.version) }
        }
      }
      return try await group.reduce(into: [[Int]]()) { $0.append($1) }
    }
    #expect(applied.filter { !$0.isEmpty } == [[1, 2]])
    let count = try await blocking { try Connection(settings).execute("select count(*) from thing").only().int(0) }
    #expect(count == 2)
  }

  @Test func `a changed migration is refused and a broken one leaves nothing`() async throws {
    let settings = try await Self.database("migrated_wrongly")
    try await blocking {
      let connection = try Connection(settings)
      #expect(try Migrator.pending(Self.two, on: connection).pending.map(\.version) == [1, 2])
      let missing = try #require(failure { try Migrator.require(Self.two, on: connection) })
      #expect(missing.code == .migrationsMissing && missing.message.contains("1 (make a thing), 2 (fill it)"), "\(missing)")
      #expect(try connection.execute("select to_regnamespace('regproc') is null").only().bool(0), "looking makes nothing")
      try Migrator.apply(Self.two, on: connection)
      try Migrator.require(Self.two, on: connection)
      // What a newer program applied is no reason to stop.
      try Migrator.require([Self.two[1]], on: connection)
      var changed = Self.two
      changed[0].sql += " "
      changed.append(Migration(version: 3, name: "more", sql: "create table more ()"))
      #expect(failure { try Migrator.apply(changed, on: connection) }?.code == .migrationChanged)
      #expect(failure { try Migrator.require(changed, on: connection) }?.code == .migrationChanged)
      let status = try Migrator.pending(changed, on: connection)
      #expect(status.changed == [2] && status.applied == [1] && status.pending.map(\.version) == [3])
      #expect(try Migrator.pending([], on: connection).unknown == [1, 2])

      let broken = Self.two + [Migration(version: 3, name: "broken", sql: "create table half (); select 1/0")]
      let error = try #require(failure { try Migrator.apply(broken, on: connection) })
      #expect(error.message.contains("migration 3 (broken)"))
      #expect(try connection.execute("select to_regclass('half') is null").only().bool(0))
      let ends = Self.two + [Migration(version: 3, name: "ends", sql: "create table half (); commit")]
      #expect(failure { try Migrator.apply(ends, on: connection) }?.code == .misuse)
      #expect(failure { try Migrator.apply(Self.two + Self.two, on: connection) }?.code == .misuse)
    }
  }

  private static let keeping = two + [Migration(version: 3, name: "add a table", sql: "create table more ()")]
  private static let taking =
    keeping + [Migration(version: 4, name: "drop thing", sql: "drop table thing", oldestProgram: ProgramVersion(0, 2, 0))]

  @Test func `a program goes back by one version and starts on what the newer one made`() async throws {
    let settings = try await Self.database("migrated_and_back")
    try await blocking {
      let connection = try Connection(settings)
      // One version after the other; then each of the two programs again, which find nothing to do.
      for (program, migrations, count) in [
        (ProgramVersion(0, 1, 0), Self.two, 2), (ProgramVersion(0, 2, 0), Self.keeping, 1), (ProgramVersion(0, 1, 0), Self.two, 0),
        (ProgramVersion(0, 3, 0), Self.taking, 1), (ProgramVersion(0, 2, 0), Self.keeping, 0),
        (ProgramVersion(0, 2, 1), Self.keeping, 0),
      ] {
        #expect(try Migrator.apply(migrations, by: program, on: connection).count == count, "\(program)")
        try Migrator.require(migrations, by: program, on: connection)
        #expect(try Migrator.pending(migrations, by: program, on: connection).tooNew.isEmpty)
      }
    }
  }

  @Test func `an older program is refused with the version that the database needs`() async throws {
    let settings = try await Self.database("migrated_beyond")
    try await blocking {
      let connection = try Connection(settings)
      try Migrator.apply(Self.taking, by: ProgramVersion(0, 3, 0), on: connection)
      let (old, first) = (Array(Self.two.dropFirst()), ProgramVersion.first)
      // What it lacks is not applied either.
      _ = try connection.execute("delete from regproc.migration where version = 1")
      for refused in [
        failure { try Migrator.apply(old, by: first, on: connection) },
        failure { try Migrator.require(old, by: first, on: connection) },
      ] {
        #expect(refused?.code == .databaseTooNew && refused?.isRetriable == false)
        for word in ["4 (drop thing)", "regproc 0.2.0 or newer", "this is regproc 0.1.0"] {
          #expect(refused?.message.contains(word) == true, "\(refused?.message ?? "accepted")")
        }
      }
      #expect(try connection.execute("select count(*) from regproc.migration").only().int(0) == 3)
      let status = try Migrator.pending(old, by: first, on: connection)
      #expect(status.unknown == [2, 3, 4] && status.tooNew.map(\.version) == [4])
      // A version in a form of which this program knows nothing is newer than all.
      _ = try connection.execute("update regproc.migration set oldest_program = '2027-a' where version = 3")
      let strange = failure { try Migrator.require(Self.two, by: ProgramVersion(9, 0, 0), on: connection) }
      #expect(strange?.code == .databaseTooNew && strange?.message.contains("2027-a") == true)
    }
  }

  @Test func `a database of before accepts any program and notes what comes next`() async throws {
    let settings = try await Self.database("migrated_before")
    try await blocking {
      let connection = try Connection(settings)
      try Migrator.apply(Self.keeping, on: connection)
      try connection.script("alter table regproc.migration drop column oldest_program")
      try Migrator.require(Self.two, on: connection)
      #expect(try Migrator.apply(Self.two, on: connection).isEmpty)
      #expect(try Migrator.apply(Self.taking, by: ProgramVersion(0, 2, 0), on: connection).map(\.version) == [4])
      let noted = try connection.execute("select version, oldest_program from regproc.migration order by version")
      #expect(try noted.map { try $0.textOrNull(1) } == [nil, nil, nil, "0.2.0"])
      #expect(failure { try Migrator.require(Self.keeping, on: connection) }?.code == .databaseTooNew)
    }
  }

  @Test func `versions are read and compared as numbers`() {
    #expect(ProgramVersion("0.10.2").map { $0 > ProgramVersion(0, 9, 12) && $0.text == "0.10.2" } == true)
    for text in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1..3", "-1.2.3", "1.2.3-rc", "1.2.99999999999999999999"] {
      #expect(ProgramVersion(text) == nil, "\(text)")
    }
  }

  @Test func `who is killed half way leaves whole migrations and the next one goes on`() async throws {
    let settings = try await Self.database("migrated_by_one_who_died")
    let slow =
      Self.two + [
        Migration(version: 3, name: "slow", sql: "create table slow (n int); select pg_sleep(600); insert into slow values (1)"),
        Migration(version: 4, name: "last", sql: "create table last (n int)"),
      ]
    async let dead = blocking { () -> Bool in failure { try Migrator.apply(slow, on: Connection(settings)) } != nil }
    // While the third one sleeps the first one's session ends, as it does when its process is killed.
    let quick =
      Self.two + [
        Migration(version: 3, name: "slow", sql: "create table slow (n int); insert into slow values (1)"), slow[3],
      ]
    async let applied = blocking { () -> [Int] in
      let watching = try Connection(settings)
      func pid(_ condition: String) throws -> Int? {
        try watching.execute(
          "select pid from pg_stat_activity where datname = current_database() and \(condition)"
        ).first?.int(0)
      }
      var sleeping: Int?
      try eventually(blocking: "the third migration") {
        sleeping = try pid("wait_event = 'PgSleep'")
        return sleeping != nil
      }
      #expect(try Migrator.pending(slow, on: watching).pending.map(\.version) == [3, 4])
      _ = try watching.execute("select pg_terminate_backend($1)", [.int(sleeping ?? 0)])
      return try Migrator.apply(quick, on: Connection(settings)).map(\.version)
    }
    #expect(try await applied == [3, 4])
    #expect(try await dead)
    let rows = try await blocking {
      try Connection(settings).execute("select (select count(*) from slow), (select count(*) from thing)").only()
    }
    #expect(try rows.int(0) == 1 && rows.int(1) == 2)
  }
}
