import TestSupport
import Glibc
import StandIn
import Testing

extension ProgramTests {
  /// Commands on a terminal, as a person has them before him.
  @Suite(.enabled(if: Terminal.isThere, "no Python in REGPROC_TEST_VENV"))
  struct TerminalTests {
    private static let jobs = "SELECT id::text FROM regproc.replay_job ORDER BY id DESC"
    private static let question = "Run them again? [y/N] "
    private static let escape: Character = "\u{1b}"

    @Test func `a replay of many asks shows how far it is and can be interrupted`() async throws {
      let (folder, side) = (try TemporaryFolder(), try OpenCRVSSide())
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let program = try await pipeline.start()
      let births = OpenCRVSSide.births(2, run: "TTY")
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      sender.allow(births.count)
      await sender.run()
      let numbers = births.map(\.registrationNumber)
      #expect(try await eventually { side.standIn.ended(among: numbers) == 2 })
      let before = try await Outcome.atRest(try pipeline.database())
      let words = ["replay"] + numbers + ["--force", "--data", pipeline.folder]

      try await nothingIsSent(words, pipeline)
      try await interrupted(words, pipeline)
      _ = try await Outcome.atRest(try pipeline.database())

      // Yes, in whatever letters: both go, with a bar that is gone at the end.
      let done = try await Terminal.run(words, [.init(until: Self.question, type: "Y\n")])
      #expect(done.code == 0 && done.output.contains("] 2/2"), "\(done.output)")
      let screen = Terminal.screen(done.output)
      #expect(screen.contains { $0.hasPrefix("Replay job ") && $0.hasSuffix(", done: 2 run again, 0 refused") }, "\(screen)")
      #expect(!screen.contains { $0.contains("] 2/2") }, "\(screen)")
      #expect(done.output.contains("\u{1b}[1m"), "the head of the table is bold")
      let after = try await Outcome.atRest(try pipeline.database())
      #expect(after.uins == before.uins && after.credentials == before.credentials)

      // NO_COLOR takes the colours and leaves the rest; elsewhere than on a terminal there is neither colour nor bar.
      let plain = try await Terminal.run(words, [.init(until: Self.question, type: "y\n")], environment: ["NO_COLOR": "1"])
      #expect(plain.code == 0 && plain.output.contains("] 2/2"), "\(plain.output)")
      #expect(plain.output.replacing("\r\u{1b}[K", with: "").contains(Self.escape) == false, "\(plain.output)")
      _ = try await Outcome.atRest(try pipeline.database())
      let piped = try await Program.run(words + ["--yes"], environment: ["TERM": "xterm"])
      #expect(piped.code == 0 && piped.output.contains(", done: 2 run again, 0 refused"), "\(piped)")
      for text in [piped.output, piped.errors] {
        #expect(!text.contains(Self.escape) && !text.contains("\r") && !text.contains("/2") && !text.contains("[y/N]"), "\(text)")
      }
      _ = try await Outcome.atRest(try pipeline.database())
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }

    /// No, nothing at all, the end of the input and Ctrl-C at the question: no job is made.
    private func nothingIsSent(_ words: [String], _ pipeline: UpPipeline) async throws {
      for answer in ["n\n", "\n", "yup\n", "\u{4}"] {
        let ended = try await Terminal.run(words, [.init(until: Self.question, type: answer)])
        #expect(ended.code == 1 && ended.output.contains("2 selected, by force."), "\(ended.output)")
        #expect(Terminal.screen(ended.output).contains { $0.hasSuffix("Nothing was sent.") }, "\(ended.output)")
      }
      let left = try await Terminal.run(words, [.init(until: Self.question, type: "\u{3}")])
      #expect(left.code == 128 + SIGINT, "\(left)")
      #expect(try await pipeline.query(Self.jobs).isEmpty)
    }

    /// Ctrl-C while it waits for its rate: one is done, the line of the bar is free again, and the job goes on when it is told to.
    private func interrupted(_ words: [String], _ pipeline: UpPipeline) async throws {
      let ended = try await Terminal.run(
        words + ["--rate", "1/m"], [.init(until: Self.question, type: "y\n"), .init(until: "] 1/2", type: "\u{3}")])
      #expect(ended.code == 1, "\(ended.output)")
      let screen = Terminal.screen(ended.output)
      let jobs = try await pipeline.query(Self.jobs)
      let id = try #require(jobs.first)
      #expect(
        screen.contains(
          "Interrupted: 1 of 2 are not done. Go on: regproc replay resume \(id); end it: regproc replay cancel \(id)"),
        "\(screen)")
      #expect(!screen.contains { $0.contains("] 1/2") } && screen.last == "", "\(screen)")
      #expect(try await pipeline.query("SELECT state FROM regproc.replay_item ORDER BY state") == ["open", "started"])

      let resumed = try await Terminal.run(["replay", "resume", id, "--data", pipeline.folder], [])
      #expect(resumed.code == 0 && resumed.output.contains("] 2/2"), "\(resumed.output)")
      #expect(Terminal.screen(resumed.output).contains { $0.hasPrefix("Replay job \(id), done: 2 run again") }, "\(resumed.output)")
      #expect(try await pipeline.query(Self.jobs) == [id] && jobs == [id])
    }
  }
}
