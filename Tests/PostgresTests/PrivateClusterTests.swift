import TestSupport
import Glibc
import System
import Testing

@testable import Postgres

@Suite(.timeLimit(.minutes(30))) struct PrivateClusterTests {
  @Test func `committed data survives a killed server which is started again`() async throws {
    try await blocking {
      let folder = try temporaryFolder()
      defer { ClusterFiles.remove(folder) }
      let cluster = PrivateCluster(folder: folder)
      let settings = try cluster.start()
      let connection = try Connection(settings)
      try connection.script("create table kept (n int); insert into kept values (42)")
      let killed = try #require(cluster.process)
      kill(killed, SIGKILL)
      // Our keeper starts it again by itself.
      var healed: Connection?
      try eventually(blocking: "a server that takes connections again") {
        if let process = cluster.process, process != killed { healed = try? Connection(settings) }
        return healed != nil
      }
      #expect(try healed!.execute("select n from kept").only().int(0) == 42)
      #expect(PrivateCluster.running(in: folder) == settings)
      #expect(try cluster.start() == settings)
      cluster.stop()
      #expect(PrivateCluster.running(in: folder) == nil)
      #expect(cluster.process == nil)
      #expect(try Connection(cluster.start()).execute("select n from kept").only().int(0) == 42)
      cluster.stop()
    }
  }

  @Test func `a pool works on after its database was killed and restarted`() async throws {
    let folder = try temporaryFolder()
    let cluster = PrivateCluster(folder: folder)
    let settings = try await blocking { try cluster.start() }
    let pool = Pool(settings, size: 4)
    try await pool.with { try $0.script("create table entry (n int primary key)") }
    let killed = try #require(cluster.process)
    let insert = "insert into entry values ($1) on conflict do nothing"
    try await withThrowingTaskGroup(of: Void.self) { group in
      for n in 0..<200 {
        group.addTask {
          // Work that is safe to do twice is tried until it is done; every failure on the way must be one that says so.
          try await eventually("entry \(n)") {
            do {
              _ = try await pool.transaction { try $0.execute(insert, [.int(n)]) }
              return true
            } catch let error as PostgresError where error.isRetriable {
              return false
            }
          }
        }
        if n == 100 { kill(killed, SIGKILL) }
      }
      try await group.waitForAll()
    }
    try await eventually("another server") { cluster.process != killed && cluster.process != nil }
    let count = try await blocking { () -> Int? in
      var count: Int?
      try eventually(blocking: "a server that takes connections again") {
        count = try (try? Connection(settings))?.execute("select count(*) from entry").only().int(0)
        return count != nil
      }
      return count
    }
    #expect(count == 200)
    pool.close()
    try await blocking {
      cluster.stop()
      ClusterFiles.remove(folder)
    }
  }

  @Test func `a second process on the folder is refused`() async throws {
    try await blocking {
      let folder = try temporaryFolder()
      defer { ClusterFiles.remove(folder) }
      let first = PrivateCluster(folder: folder)
      _ = try first.start()
      #expect(failure { try PrivateCluster(folder: folder).start() }?.message.contains("another process") == true)
      first.stop()
    }
  }

  @Test func `a stale note of another process does not hinder the start`() async throws {
    try await blocking {
      let folder = try temporaryFolder()
      defer { ClusterFiles.remove(folder) }
      let cluster = PrivateCluster(folder: folder)
      _ = try cluster.start()
      cluster.stop()
      // The number of a living process that is no server.
      ClusterFiles.write("\(getpid())\n\(folder)/data\n1\n5432\n\n\n\nready\n", to: folder + "/data/postmaster.pid")
      #expect(PrivateCluster.running(in: folder) == nil, "a process that is no server")
      let settings = try cluster.start()
      #expect(try Connection(settings).execute("select 1").only().int(0) == 1)
      #expect(cluster.process != getpid() && PrivateCluster.running(in: folder) == settings)
      cluster.stop()
    }
  }

  @Test func `a server whose owner died is waited for`() async throws {
    try await blocking {
      let folder = try temporaryFolder()
      defer { ClusterFiles.remove(folder) }
      let cluster = PrivateCluster(folder: folder)
      try Connection(cluster.start()).script("create table kept (n int); insert into kept values (7)")
      cluster.stop()
      // An orphan as a killed process of ours leaves one: a server nobody keeps, told to shut down when its parent thread ends.
      let place = try ClusterFolder(folder)
      let binaries = try ServerBinaries.find()
      let started = Semaphore()
      let leave = Semaphore()
      OwnedThread.start("orphan") {
        _ = Child.spawn(
          [
            binaries.folder + "/postgres", "-D", place.data, "-c", "listen_addresses=", "-c",
            "unix_socket_directories=\(place.data)",
          ],
          as: place.identity, output: -1, deathSignal: SIGINT)
        started.signal()
        leave.waitInTime()
      }
      defer { leave.signal() }
      started.waitInTime()
      try eventually(blocking: "a server that is ready") { place.note()?.isReady == true }
      let orphan = try #require(place.note()?.process)
      #expect(place.isServer(orphan))
      leave.signal()
      let settings = try cluster.start()
      #expect(!place.isServer(orphan))
      #expect(cluster.process != orphan)
      #expect(try Connection(settings).execute("select n from kept").only().int(0) == 7)
      cluster.stop()
      _ = Child.wait(orphan)
    }
  }

  @Test func `a folder that the servers user cannot reach and a long path work`() async throws {
    try await blocking {
      let folder = try temporaryFolder()
      defer { ClusterFiles.remove(folder) }
      chmod(folder, 0o700)
      let long = folder + "/" + String(repeating: "long-name/", count: 9) + "database"
      let cluster = PrivateCluster(folder: long)
      let settings = try cluster.start()
      #expect(try Connection(settings).execute("select 1").only().int(0) == 1)
      let place = try ClusterFolder(long)
      let data = place.data
      #expect((settings.host + "/.s.PGSQL.5432").utf8.count <= 107)
      if geteuid() == 0 { #expect(ClusterFiles.owner(data) != 0) }
      cluster.stop()
      // The short socket folder goes with the server.
      if settings.host != data { #expect(!ClusterFiles.exists(settings.host)) }
      if !data.hasPrefix(folder) { ClusterFiles.remove(data) }
    }
  }

  @Test func `what is wrong with a folder is said`() async throws {
    try await blocking {
      let folder = try temporaryFolder()
      defer { ClusterFiles.remove(folder) }
      let missing = failure { try PrivateCluster(folder: folder, binaries: "/nowhere").start() }
      #expect(missing?.code == .clusterFailed && missing?.message.contains("apt-get install postgresql-15") == true)
      try ClusterFiles.makeFolders(folder + "/data/foreign")
      #expect(failure { try PrivateCluster(folder: folder).start() }?.message.contains("no Postgres cluster") == true)
      ClusterFiles.write("x", to: folder + "/file")
      #expect(failure { try PrivateCluster(folder: folder + "/file/below").start() }?.code == .clusterFailed)
    }
  }

  @Test func `the log holds no values`() async throws {
    try await blocking {
      let folder = try temporaryFolder()
      defer { ClusterFiles.remove(folder) }
      let cluster = PrivateCluster(folder: folder)
      let connection = try Connection(cluster.start())
      _ = failure { try connection.execute("select $1::int", ["very-secret"]) }
      _ = failure { try connection.script("select 'very-secret'::int") }
      try connection.script("checkpoint")
      cluster.stop()
      let log = try #require(ClusterFiles.text(folder + "/server.log"))
      #expect(log.contains("shut down"))
      #expect(!log.contains("very-secret"))
    }
  }

  @Test func `a program that cannot be started is reported`() {
    #expect(Child.spawn(["/nowhere/at-all"], output: -1) == nil)
    let child = Child.spawn(["/bin/sh", "-c", "exit 7"], output: -1)
    #expect(child.map { Child.wait($0) } == 7)
  }
}
