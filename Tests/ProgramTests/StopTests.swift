import TestSupport
import Glibc
import Postgres
import TestSupport
import Testing

extension ProgramTests {
  /// How the program ends when it is asked to, and what it leaves.
  @Suite struct StopTests {
    /// Keys stand in what a crash would write: registers and memory in Swift's report, all memory in a core dump.
    @Test(arguments: [false, true]) func `a crash leaves no memory unless it is asked for`(_ isAllowed: Bool) async throws {
      let folder = try TemporaryFolder()
      let pipeline = UpPipeline(
        folder.path + "/data", side: try OpenCRVSSide(),
        options: isAllowed ? ["--settings", try folder.write("crash-traces: true\n", to: "traces.yaml")] : [])
      let program = try await pipeline.start()
      let limits = String(decoding: TemporaryFolder.read("/proc/\(program.process)/limits") ?? [], as: UTF8.self)
      let cores = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }?.split(separator: " ")
      if !isAllowed { #expect(cores?.dropFirst(4).first == "0", "\(limits)") }
      // The signals that the process answers itself: bit 10 is SIGSEGV.
      let status = String(decoding: TemporaryFolder.read("/proc/\(program.process)/status") ?? [], as: UTF8.self)
      let caught = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }.flatMap {
        UInt64($0.dropFirst(7).drop { $0 == "\t" || $0 == " " }, radix: 16)
      }
      #expect((try #require(caught) & 1 << 10 != 0) == isAllowed)
      // The report itself takes its time, with all symbols of the program.
      program.signal(isAllowed ? SIGTERM : SIGSEGV)
      let ended = try await program.ended()
      #expect((ended.code == 0) == isAllowed)
      for word in ["Backtrace", "Thread 0", "rax", "Registers", "0x0000"] {
        #expect(!ended.errors.contains(word), "\(ended.errors)")
      }
      await pipeline.side.stop()
    }

    @Test func `up ends at ctrl c with zero and leaves no process`() async throws {
      let folder = try TemporaryFolder()
      let pipeline = UpPipeline(folder.path + "/data", side: try OpenCRVSSide())
      let program = try await pipeline.start()
      #expect(program.output.contains("\(pipeline.url)/webhooks"))
      #expect(TemporaryFolder.names(in: pipeline.folder).contains("run.json"))
      #expect(!Processes.of(folder.path).isEmpty)

      // A second one on the folder is refused and does the first one no harm.
      let second = try await Program.run("up", "--data", pipeline.folder, "--port", "0")
      #expect(second.code == 1 && second.output.isEmpty)
      #expect(
        second.errors.contains("runs on \(pipeline.folder) already (process \(program.process)"), "\(second.errors)")
      let demo = try await Program.run("demo", "--data", pipeline.folder)
      #expect(demo.code == 1 && demo.output.isEmpty)
      #expect(program.isRunning)

      program.signal(SIGINT)
      let end = try await program.ended()
      #expect(end.code == 0, "\(end.errors)")
      #expect(end.errors.contains("stopped"))
      #expect(Processes.of(folder.path) == [])
      #expect(!TemporaryFolder.names(in: pipeline.folder).contains("run.json"))
      await pipeline.side.stop()
    }

    /// How far a start has come.
    enum Start: CaseIterable, Sendable { case folder, signals, database }

    @Test(arguments: Start.allCases) func `up stops while it starts`(_ moment: Start) async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let program = try await UpPipeline(folder.path + "/data", side: side).launch()
      try await eventually("\(moment): \(program.errors)") {
        switch moment {
        case .folder: TemporaryFolder.names(in: folder.path + "/data").contains("lock")
        case .signals: program.errors.contains("regproc: starting")
        case .database: !Processes.of(folder.path + "/data/postgres").isEmpty
        }
      }
      program.signal(SIGINT)
      let end = try await program.ended()
      // Before the program has taken the signal over, it ends by the signal itself.
      #expect(end.code == 0 || moment == .folder && end.code == -1, "\(end.errors)")
      #expect(try await eventually { Processes.of(folder.path).isEmpty }, "\(Processes.of(folder.path))")
      await side.stop()
    }

    @Test func `the second ctrl c ends at once and the folder serves again`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let births = OpenCRVSSide.births(8, run: "TWICE")
      let program = try await pipeline.start()
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      sender.allow(births.count)
      await sender.run()
      // A database that stands still lets no stop come to its end.
      let note = TemporaryFolder.read(pipeline.folder + "/postgres/data/postmaster.pid") ?? []
      let server = try #require(pid_t(String(decoding: note.prefix { $0 != 10 }, as: UTF8.self)))
      kill(server, SIGSTOP)
      defer { kill(server, SIGCONT) }
      program.signal(SIGINT)
      try await eventually("the first stop: \(program.errors)") { program.errors.contains("regproc: stopping") }
      program.signal(SIGINT)
      let ended = try await program.ended()
      #expect(ended.code == 1 && ended.errors.contains("stopped at once"), "\(ended.errors)")
      kill(server, SIGCONT)
      #expect(try await eventually { Processes.of(folder.path).isEmpty }, "\(Processes.of(folder.path))")

      let next = try await pipeline.start()
      #expect(try await eventually { side.standIn.ended(among: births.map(\.registrationNumber)) == births.count })
      let outcome = try await Outcome.atRest(try pipeline.database())
      outcome.expectEachOnce(births, at: side.standIn)
      next.signal(SIGTERM)
      #expect(try await next.ended().code == 0)
      await side.stop()
    }

    @Test func `a demo that is stopped says what is unfinished and leaves no process`() async throws {
      let folder = try TemporaryFolder()
      let program = try await Program(["demo", "--births", "200", "--json", "--data", folder.path + "/data"])
      let database = folder.path + "/data/postgres"
      try await eventually("the first hops: \(program.errors)") {
        guard let settings = PrivateCluster.running(in: database) else { return false }
        return (try? await TestDatabase.run(settings) { try $0.execute("SELECT 1 FROM regproc.hop LIMIT 1", []).isEmpty }) == false
      }
      program.signal(SIGINT)
      let end = try await program.ended()
      #expect(end.code == 1, "\(end.errors)")
      #expect(Processes.of(folder.path) == [])
      #expect(!TemporaryFolder.names(in: folder.path + "/data").contains("run.json"))
    }

    @Test func `a port that is taken is named and nothing stays`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let taken = side.url.split(separator: ":").last.map(String.init) ?? ""
      let ended = try await Program.run("up", "--port", taken, "--data", folder.path + "/data")
      #expect(ended.code == 1 && ended.output.isEmpty)
      #expect(ended.errors.contains(taken), "\(ended.errors)")
      #expect(Processes.of(folder.path) == [])
      await side.stop()
    }
  }
}
