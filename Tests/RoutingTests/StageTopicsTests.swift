import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct StageTopicsTests {
  static let file = """
    version: 1
    foreign-stages: { address-check: { topic: addr }, plain-check: {} }
    on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
    flows:
      NEW:
        route:
          - cmd-validator: { runs: elsewhere }
          - abis-middleware
          - address-check
          - plain-check
          - print: { passed: complete-as-processed }
      UPDATE:
        route:
          - print: { passed: complete-as-processed }
    """

  func routes(running: Set<String>? = nil) throws -> RouteFile {
    let upstream = StageDirectory.registrationProcessor
    let reading = read(Self.file, running.map { upstream.running($0) } ?? upstream)
    return try #require(reading.file, "\(reading.report())")
  }

  @Test(arguments: [
    ("cmd-validator", "c-m-d-validator-bus-in"), ("abis-middleware", "abis-middle-ware-bus-in"),
    ("address-check", "addr-bus-in"), ("plain-check", "plain-check-bus-in"), ("print", "credential-requestor-bus-in"),
    ("packet-validator", "packet-validator-bus-in"), ("nobody-knows", "nobody-knows-bus-in"),
  ])
  func `a stages input is named as its owner names it`(_ stage: String, _ topic: String) throws {
    #expect(try routes().busIn(of: stage) == topic)
  }

  @Test func `an installed stage may have another topic than upstreams`() throws {
    let stages = StageDirectory.registrationProcessor.adding([StageDirectory.Entry("print", topicPrefix: "printing")])
    let reading = read(Self.file, stages)
    #expect(try #require(reading.file).busIn(of: "print") == "printing-bus-in")
  }

  @Test func `a stage runs elsewhere when the flow says so or nothing here runs it`() throws {
    let unknown = try routes()
    #expect(unknown.runsElsewhere("cmd-validator", of: "NEW") && unknown.runsElsewhere("address-check", of: "NEW"))
    #expect(!unknown.runsElsewhere("abis-middleware", of: "NEW") && !unknown.runsElsewhere("print", of: "NEW"))
    let known = try routes(running: ["print", "cmd-validator"])
    #expect(known.runsElsewhere("abis-middleware", of: "NEW") && !known.runsElsewhere("print", of: "UPDATE"))
    #expect(known.runsElsewhere("cmd-validator") && !known.runsElsewhere("print"))
    #expect(!known.runsElsewhere("packet-validator"), "no flow has it")
    #expect(
      known.elsewhereStages.map(\.stage) == ["cmd-validator", "abis-middleware", "address-check", "plain-check"])
  }

  @Test func `a stage that runs both here and elsewhere is reported because its flows share a topic`() throws {
    let text = Self.file.replacing("UPDATE:\n    route:\n", with: "UPDATE:\n    route:\n      - cmd-validator\n")
    let reading = read(text)
    let problem = try #require(reading.problems.first { $0.code == "split-stage" })
    #expect(problem.severity == .warning && problem.position.line == 7)
    #expect(!read(Self.file).problems.contains { $0.code == "split-stage" })
  }

  @Test func `a pinned flow is another version and is said by the diff`() throws {
    let pinned = Self.file.replacing("  NEW:\n", with: "  NEW:\n    pin: true\n")
    let (old, new) = (try routes(), try #require(read(pinned, .registrationProcessor).file))
    #expect(new.isPinned("NEW") && !new.isPinned("UPDATE") && !old.isPinned("NEW") && !new.isPinned("OTHER"))
    #expect(new.digest != old.digest)
    #expect(RouteDiff(old, new).others == ["NEW: packets finish on the version they began with now"])
    #expect(RouteDiff(new, old).others == ["NEW: packets go on by the new version now"])
    // An unpinned flow may say so.
    let plain = Self.file.replacing("  NEW:\n", with: "  NEW:\n    pin: false\n")
    #expect(try #require(read(plain, .registrationProcessor).file).digest == old.digest)
    #expect(
      faults(read(pinned.replacing("pin: true", with: "pin: 5"), .registrationProcessor)).contains { $0.contains("wrong-type") })
  }

  @Test(arguments: ["routes.yaml", "deploy/routes/mosip-config.yaml"])
  func `what is written from a version is that version`(_ name: String) throws {
    let text = String(decoding: repositoryFile(name), as: UTF8.self)
    let routes = try #require(RouteFile.read(Array(text.utf8), name: name, stages: .registrationProcessor).file)
    let pinned = RouteFile(
      name: routes.name,
      flows: routes.flows.map { flow in
        var flow = flow
        flow.isPinned = true
        return flow
      }, forwards: routes.forwards, foreign: routes.foreign)
    for version in [routes, pinned] {
      let again = RouteFile.read(Array(RouteWriter.text(version).utf8), name: name, stages: .registrationProcessor)
      #expect(again.file?.digest == version.digest, "\(again.report())")
    }
    #expect(routes.digest != pinned.digest)
  }
}
