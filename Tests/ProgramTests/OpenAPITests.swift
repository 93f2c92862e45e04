import Glibc
import JSON
import EmbeddedPlatform
import StageKit
import System
import Testing

extension ProgramTests {
  /// The description of all endpoints: that it is there, that it is whole, and that the endpoints keep to it.
  @Suite struct OpenAPITests {
    @Test func `the page in the docs is what the endpoints declare and none is without words`() async throws {
      let told = try await Program.run("endpoints", "--openapi")
      #expect(told.code == 0 && told.errors.isEmpty, "\(told.errors)")
      let page = TemporaryFolder.read(Program.repository + "/docs/openapi.json") ?? []
      #expect(String(decoding: page, as: UTF8.self) == told.output, "stale: make generate")
      let paths = try #require(try JSONValue.parse(page)["paths"]?.object)
      #expect(paths.count > 25)
      for (path, item) in paths.map({ ($0.key, $0.value) }) {
        for (method, operation) in (item.object ?? JSONObject()).map({ ($0.key, $0.value) }) where method != "servers" {
          let summary = operation["summary"]?.string ?? ""
          #expect(!summary.isEmpty && !summary.hasSuffix(path), "\(method) \(path) says nothing of itself: Endpoint.described")
          #expect(operation["tags"]?.array?.isEmpty == false, "\(method) \(path)")
        }
      }
    }

    @Test(
      .enabled(
        if: DeployTests.tool("schemathesis") != nil, "NOT TESTED: no schemathesis (scripts/test-venv installs it)"))
    func `what is described is what is answered`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let running = try await pipeline.start()
      let blocking = BlockingPool(name: "tokens", threads: 1)
      defer { blocking.close() }
      let tokens = EmbeddedTokens(
        keys: try KeyFolder(folder: pipeline.folder + "/platform/keys"), blocking: blocking,
        roles: ["mosip-mediator": ["REGISTRATION_PROCESSOR"]], clock: SystemClock())
      let token = try await tokens.token(client: "mosip-mediator", for: .mosip)
      // What a stranger is told, and what a caller who may.
      // What health tells is not the caller's to bring about.
      let besides = ["--exclude-path-regex", "^/actuator/health"]
      for (url, headers) in [
        (pipeline.url, []), (pipeline.url, ["-H", "Authorization: Bearer \(token)", "-H", "Cookie: Authorization=\(token)"]),
        (pipeline.admin, besides),
      ] {
        let words =
          ["run", url + "/openapi.json", "--url", url, "-n", "5", "--phases", "coverage,fuzzing", "--seed", "1"]
          // MOSIP answers 200 to much that it refuses, and says so in `errors`.
          + ["--exclude-checks", "positive_data_acceptance,negative_data_rejection"]
        let done = try await Program(
          words + headers, program: try #require(DeployTests.tool("schemathesis")), environment: ["HOME": folder.path],
          folder: folder.path
        ).ended()
        #expect(done.code == 0, "\(done.output.suffix(8000))")
      }
      running.signal(SIGINT)
      #expect(try await running.ended().code == 0)
      await side.stop()
    }
  }
}
