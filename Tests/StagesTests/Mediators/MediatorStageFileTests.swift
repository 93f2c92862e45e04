import StageRuntime
import Foundation
import StageKit
import Testing

@testable import Stages

@Suite("The stage.yaml of a mediator", .timeLimit(.minutes(10)))
struct MediatorStageFileTests {
  @Test
  func `is readable, names its plugin, and gives every setting that has no default`() throws {
    let plugins: [any StagePlugin.Type] = [OpenCRVSMediator.self, MosipMediator.self]
    for plugin in plugins {
      let name = plugin.spec.name
      let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
      let bytes = try Data(contentsOf: root.appending(path: "stages/\(name)/stage.yaml"))
      let reading = StageDefinition.read(Array(bytes), name: name, file: "stage.yaml")
      #expect(reading.problems.isEmpty)
      var stage = try #require(reading.stage)
      stage.resolveFiles(plugin.spec.settings, in: root.appending(path: "stages/\(name)").path)
      #expect(stage.plugin == name)
      let settings = try StageSettings(stage: name, declared: plugin.spec.settings, given: stage.settings)
      _ = try plugin.init(settings: settings)
      #expect(plugin.spec.topics.map { settings.filled($0) }.allSatisfy { !$0.contains("{") })
      // Secrets come from elsewhere.
      #expect(!plugin.spec.settings.contains { $0.kind == .secret && stage.settings[$0.name] != nil })
    }
  }
}
