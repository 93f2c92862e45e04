import StageRuntime
import Glibc
import StageKit
import Stages
import System
import TestSupport
import Testing
import YAML

@Suite(.timeLimit(.minutes(10))) struct CatalogueTests {
  @Test func `plugins have names of their own and describe every setting`() {
    let names = Catalogue.plugins.map { $0.spec.name }
    #expect(Set(names).count == names.count)
    for plugin in Catalogue.plugins {
      #expect(!plugin.spec.summary.isEmpty && Catalogue.plugin(named: plugin.spec.name) != nil)
      #expect(plugin.spec.settings.allSatisfy { !$0.meaning.isEmpty })
    }
    #expect(Catalogue.plugin(named: "nothing") == nil)
  }

  @Test(arguments: Catalogue.plugins.map { $0.spec.name })
  func `no setting of a stage is shown with its secrets`(_ name: String) throws {
    let plugin = try #require(Catalogue.plugin(named: name))
    for field in plugin.spec.settings {
      if ["secret", "password", "private"].contains(where: { field.name.contains($0) }), field.kind != .file {
        #expect(field.kind == .secret, "\(field.name)")
      }
      for form in ["http://user:MARK@host/x?token=MARK", "password=MARK", "user=u Secret = MARK"] {
        #expect(!field.shown(.text(form)).contains("MARK"), "\(field.name)")
        #expect(!field.shown(.texts([form, form])).contains("MARK"), "\(field.name)")
      }
      if field.kind == .secret { #expect(!field.shown("MARK").contains("MARK")) }
    }
  }

  @Test(arguments: TemporaryFolder.names(in: repository + "/stages"))
  func `every shipped stage is described by a file that its plugin accepts`(_ name: String) throws {
    var stage = try #require(try file(name))
    #expect(!stage.summary.isEmpty)
    let plugin = try #require(Catalogue.plugin(named: stage.plugin))
    stage.resolveFiles(plugin.spec.settings, in: "\(repository)/stages/\(name)")
    let settings = try StageSettings(stage: name, declared: plugin.spec.settings, given: stage.settings)
    _ = try plugin.init(settings: settings)
  }

  @Test(arguments: [
    ("packet-validator", "PacketValidatorStage", "packet-validator", "packet-validator-stage", "VALIDATE_PACKET"),
    ("packet-uploader", "PacketUploaderStage", "packet-uploader", "packet-uploader-stage", "UPLOAD_PACKET"),
    ("print", "CredentialRequestorStage", "credential-requestor", "credential-requestor-stage", "PRINT_SERVICE"),
    ("opencrvs", "OpencrvsStage", "opencrvs", "opencrvs-stage", "OPENCRVS_NEW"),
  ])
  func `what Java stages and tables see is MOSIPs`(
    _ name: String, _ className: String, _ topic: String, _ group: String, _ type: String
  ) throws {
    let stage = try #require(try file(name))
    #expect(stage.className == className && stage.topicPrefix == topic && stage.group == group)
    #expect(stage.transactionType == type)
  }
}

/// The folder of the repository that holds this test.
private let repository = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

/// The stage file of the repository.
private func file(_ name: String) throws -> StageDefinition? {
  let path = "\(repository)/stages/\(name)/stage.yaml"
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var bytes = [UInt8](repeating: 0, count: 1 << 16)
  let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
  let reading = StageDefinition.read(Array(bytes.prefix(max(count, 0))), name: name, file: path)
  #expect(reading.problems.isEmpty, "\(reading.problems)")
  return reading.stage
}
