import Glibc
import TestSupport
import Testing
import YAML

@testable import Routing

/// A message as routing sees it.
struct TestMessage: Routable {
  var tags: [String: String] = [:]
  var fields: [String: FieldValue] = [:]
  func tag(_ name: String) -> String? { tags[name] }
  func field(_ name: String) -> FieldValue { fields[name] ?? .absent }
}

/// Stages of no real pipeline, so that a test's file need not account for others.
let letters = StageDirectory(["a", "b", "c", "d", "e"].map { StageDirectory.Entry($0) })

func read(_ text: String, _ stages: StageDirectory = letters) -> RouteReading {
  RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages)
}

/// A file of one flow with the usual `on`, whose route is `route`; the route's first line is line 5.
func flow(_ route: String) -> String {
  """
  version: 1
  flows:
    TEST:
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
  \(route.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n"))

  """
}

/// `severity code line:column` of every problem.
func faults(_ reading: RouteReading) -> [String] {
  reading.problems.map { "\($0.severity.rawValue) \($0.code) \($0.position)" }
}

/// The shipped route file.
func shippedBytes() -> [UInt8] { repositoryFile("routes.yaml") }

/// The folder of the repository that holds these tests.
let repository = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

/// A file of the repository; empty when there is none.
func repositoryFile(_ name: String) -> [UInt8] { fileBytes("\(repository)/\(name)") ?? [] }

/// A file's bytes; nil when it cannot be read.
func fileBytes(_ path: String) -> [UInt8]? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 20)
  bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
  return bytes
}

/// Upstream's stages and those of the folder `stages/`.
let shippedStages = StageDirectory.registrationProcessor.adding(
  TemporaryFolder.names(in: repository + "/stages").filter { !StageDirectory.registrationProcessor.names.contains($0) }
    .map { StageDirectory.Entry($0) })

func shipped() throws -> RouteFile {
  let reading = RouteFile.read(shippedBytes(), name: "routes.yaml", stages: shippedStages)
  #expect(reading.problems.isEmpty, "\(reading.report())")
  return try #require(reading.file)
}
