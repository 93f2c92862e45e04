import StageRuntime
import Testing

@Suite(.timeLimit(.minutes(10))) struct ResourcesTests {
  private func read(_ resources: String) -> StageDefinition.Reading {
    StageDefinition.read(Array("plugin: print\n\(resources)".utf8), name: "print", file: "stage.yaml")
  }

  @Test func `a stage says what its container asks for and one that does not has defaults`() throws {
    let given = try #require(
      read("resources:\n  requests: { cpu: 0.25, memory: 96Mi }\n  limits: { cpu: 1, memory: 1Gi }\n").stage?.resources)
    #expect(given.cpu.amount == 250 && given.cpu.description == "0.25" && given.memory.amount == 96 << 20)
    #expect(given.cpuLimit?.amount == 1000 && given.memoryLimit.description == "1Gi")
    let none = try #require(read("").stage?.resources)
    #expect(none.cpu.description == "50m" && none.memory.description == "64Mi" && none.cpuLimit == nil)
    #expect(none.memoryLimit.description == "512Mi")
    let large = try #require(read("resources: { requests: { memory: 2G } }\n").stage?.resources)
    #expect(large.memoryLimit.description == "2G", "a default limit never stands below what is requested")
  }

  @Test(arguments: [
    ("requests: { memory: 96MB }", "memory must be bytes with Ki, Mi or Gi, e.g. 96Mi; Kubernetes writes no B"),
    ("requests: { memory: -1 }", "memory must be"), ("requests: { memory: 1.5Gi }", "memory must be"),
    ("requests: { cpu: 1k }", "cpu must be processors, e.g. 0.5 or 500m"), ("requests: { cpu: 0 }", "cpu must be"),
    ("requests: { cpu: 0.0001 }", "cpu must be"), ("requests: { cpu: [1] }", "cpu must be"),
    ("requests: { memory: 1Gi }\n  limits: { memory: 512Mi }", "the limit of memory is below what is requested, 1Gi"),
    ("requests: { disk: 1Gi }", "has no key 'disk'"), ("limit: { cpu: 1 }", "did you mean 'limits'?"),
  ])
  func `what is no amount is told at its place`(_ text: String, _ words: String) {
    let reading = read("resources:\n  \(text)\n")
    #expect(reading.stage == nil)
    #expect(reading.report().contains(words) && reading.report().contains("stage.yaml:"), "\(reading.report())")
  }
}
