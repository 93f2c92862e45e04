import Foundation
import StageKit
import Testing

@testable import OpenCRVS
@testable import Stages

@Suite("The setting that names the file of a country's names", .timeLimit(.minutes(10)))
struct FieldNamesSettingTests {
  @Test
  func `to a file that is wrong or missing keeps the mediator from being made, naming place and setting`() throws {
    let world = try MediatorWorld()
    let path = FileManager.default.temporaryDirectory.appending(path: "fields-\(UUID().uuidString).yaml").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect { try world.crvs(["fields-file": .text(path)]) } throws: { ($0 as? SettingError)?.setting == "fields-file" }
    try Data("version: 1\nsections: {chlid: x}\n".utf8).write(to: URL(filePath: path))
    #expect { try world.crvs(["fields-file": .text(path)]) } throws: {
      ($0 as? SettingError)?.message.contains("\(path):2:12") == true
    }
    #expect(OpenCRVSMediator.check(Array("version: 3".utf8), of: "fields-file", file: path)?.problems.count == 1)
    #expect(OpenCRVSMediator.check([], of: "topics", file: path) == nil)
    try Data("version: 1\nsections: {child: barn}\n".utf8).write(to: URL(filePath: path))
    #expect(try world.crvs(["fields-file": .text(path)]).0.names != .standard)
  }
}
