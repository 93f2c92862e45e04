import Foundation
import Glibc
import StandIn
import TestSupport
import Testing

extension ProgramTests {
  /// `regproc erase` as a process that dies.
  @Suite struct EraseTests {
    /// What of the objects is there.
    private func objects(_ data: String) -> [String] {
      (FileManager.default.subpaths(atPath: data) ?? []).filter { path in
        var isFolder: ObjCBool = false
        return "/\(path)".contains("/objects/")
          && FileManager.default.fileExists(atPath: data + "/" + path, isDirectory: &isFolder) && !isFolder.boolValue
      }
    }

    @Test func `killed at any moment and called again it has removed everything of the person and nothing of others`() async throws
    {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let births = OpenCRVSSide.births(2, run: "ERASE")
      let program = try await pipeline.start()
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      sender.allow(births.count)
      await sender.run()
      try await eventually("both births have ended") {
        side.standIn.ended(among: births.map(\.registrationNumber)) == births.count
      }
      let before = try await Outcome.atRest(try pipeline.database())
      let rids = try births.map { try #require(side.standIn.returned($0.registrationNumber).rid) }
      let all = objects(pipeline.folder)
      #expect(all.contains { $0.contains(rids[0]) } && all.contains { $0.contains(rids[1]) })
      let words = ["erase", rids[0], "--reason", "a drill", "--yes", "--data", pipeline.folder]

      var wasKilled = 0
      // Each time it lives a little longer; at last it comes to its end.
      for pause in stride(from: 20, through: 2000, by: 15) {
        let erase = try await Program(words)
        try await Task.sleep(for: .milliseconds(pause))
        erase.signal(SIGKILL)
        let ended = try await erase.ended()
        if ended.code == 0 { break }
        wasKilled += 1
        #expect(ended.code == -1, "\(ended.errors)")
      }
      #expect(wasKilled > 0)
      let last = try await Program.run(words)
      // One that was killed may have come to its end before.
      #expect(last.code == 0 || last.errors.contains("nothing was done"), "\(last.errors)")

      let left = objects(pipeline.folder)
      #expect(left.count < all.count && !left.contains { $0.contains(rids[0]) })
      #expect(left.filter { $0.contains(rids[1]) } == all.filter { $0.contains(rids[1]) })
      let refused = try await Program.run("replay", rids[0], "--force", "--data", pipeline.folder)
      #expect(refused.code == 1 && refused.errors.contains("erased"), "\(refused.errors)")
      let again = try await Program.run("replay", rids[1], "--force", "--reason", "a drill", "--data", pipeline.folder)
      #expect(again.code == 0, "\(again.errors)")
      let after = try await Outcome.atRest(try pipeline.database())
      #expect(after.uins == before.uins)
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
    }
  }
}
