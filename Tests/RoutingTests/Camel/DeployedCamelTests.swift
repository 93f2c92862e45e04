import Glibc
import Testing
import YAML

@testable import Routing

/// The Camel files as MOSIP deploys them, read where they are. They are no part of the project: without them these tests say so.
enum DeployedCamel {
  static let names = [
    "activate", "backward-compatibility", "biometric-correction", "deactivate", "infant-crvs_new", "new",
    "opencrvs_new",
    "res-reprint", "update",
  ]

  static var folder: String {
    if let named = getenv("REGPROC_TEST_CAMEL_ROUTES") { return String(cString: named) }
    return #filePath.split(separator: "/").dropLast(5).map { "/" + $0 }.joined() + "/shared/camel-routes"
  }

  static let sources: [CamelImport.Source] = names.compactMap { name in
    fileBytes("\(folder)/\(name).xml").map { CamelImport.Source(name: name + ".xml", bytes: $0) }
  }

  static var areThere: Bool { sources.count == names.count }
}

@Suite(
  .enabled(
    if: DeployedCamel.areThere,
    "SKIPPED: the nine Camel route files are not there; REGPROC_TEST_CAMEL_ROUTES names their folder"), .timeLimit(.minutes(10)))
struct DeployedCamelTests {
  let found = CamelImport.read(DeployedCamel.sources, stages: .registrationProcessor)

  @Test func `every deployed file is imported and decides alike`() throws {
    #expect(found.problems.allSatisfy { $0.severity == .warning }, "\(found.report())")
    #expect(found.size.routes == 90)
    let result = found.verify(try #require(found.file), stages: .registrationProcessor)
    #expect(result.isProven, "\(result.differences.map(\.words)) \(result.unreached)")
    #expect(result.reached == 404)
    #expect(result.dead.count == 2)
  }

  @Test func `each file alone is imported and decides alike`() throws {
    for source in DeployedCamel.sources {
      let found = CamelImport.read([source], stages: .registrationProcessor)
      #expect(found.verify(try #require(found.file), stages: .registrationProcessor).isProven, "\(source.name)")
    }
  }

  @Test func `the imported file is canonical and without error`() throws {
    let reading = RouteFile.read(Array(found.text.utf8), name: "routes.yaml", stages: .registrationProcessor)
    #expect(reading.problems.allSatisfy { $0.severity == .warning && $0.code == "cycle" }, "\(reading.report())")
    guard case .formatted(let text) = RouteFormat.format(Array(found.text.utf8), name: "x") else {
      Issue.record("it cannot be formatted")
      return
    }
    #expect(text == found.text)
  }

  @Test func `the known faults of the deployed files are found`() {
    let words = found.problems.map { "\($0.file):\($0.position.line) \($0.code)" }
    for expected in [
      "infant-crvs_new.xml:193 missing-test", "infant-crvs_new.xml:207 dead-branch",
      "infant-crvs_new.xml:170 dead-route",
      "new.xml:303 dead-branch", "new.xml:269 missing-test", "opencrvs_new.xml:267 missing-test",
      "update.xml:3 name-mismatch",
    ] {
      #expect(words.contains(expected), "\(expected)")
    }
  }

  @Test func `the committed file of deployed routes is the imported one`() throws {
    let committed = RouteFile.read(
      repositoryFile("deploy/routes/mosip-config.yaml"), name: "mosip-config.yaml", stages: .registrationProcessor)
    #expect(committed.file?.digest == found.file?.digest)
  }
}
