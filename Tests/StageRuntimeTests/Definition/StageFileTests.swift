import StageKit
import StageRuntime
import System
import Testing

/// What is wrong in a `stage.yaml` is told at its place, and never made right in silence.
@Suite(.timeLimit(.minutes(10))) struct StageFileTests {
  private static let plugin = PluginSpec(
    name: "echo", summary: "says it again",
    settings: [
      SettingField("greeting", .text, default: "hello", "what it says"), SettingField("times", .integer, default: 1, "how often"),
      SettingField("voice", .choice(["loud", "quiet"]), default: "loud", "how it says it"),
      SettingField("password", .secret, default: "", "who may hear it"),
      SettingField("hearer-url", .text, default: nil, "whom it tells"),
    ])

  private func read(_ text: String, plugins: [PluginSpec]? = [plugin]) -> StageDefinition.Reading {
    StageDefinition.read(Array(text.utf8), name: "echo", file: "stage.yaml", plugins: plugins)
  }

  @Test(arguments: [
    ("tries: -3", "2:8", "tries must be from 1 to 10000, not '-3'"), ("tries: 0", "2:8", "tries must be from 1"),
    ("batch: 999999999", "2:8", "batch must be from 1 to 10000, not '999999999'"), ("batch: 0", "2:8", "batch must be"),
    ("parallelism: 1001", "2:14", "parallelism must be from 1 to 1000"), ("first-pause: -1", "2:14", "first-pause must be"),
    ("longest-pause: .inf", "2:16", "longest-pause must be"), ("longest-pause: .nan", "2:16", "longest-pause must be"),
  ])
  func `a number out of range is a problem at its place`(_ line: String, _ place: String, _ words: String) {
    let reading = read("plugin: echo\n\(line)\n")
    #expect(reading.stage == nil)
    #expect(reading.report().hasPrefix("stage.yaml:\(place): error: \(words)"), "\(reading.report())")
  }

  @Test func `numbers at the edges of their ranges are taken as they are`() throws {
    let text = "plugin: echo\ntries: 10000\nbatch: 1\nparallelism: 1000\nfirst-pause: 0\nlongest-pause: 31622400\n"
    let stage = try #require(read(text).stage)
    #expect(stage.tries == 10_000 && stage.batch == 1 && stage.parallelism == 1000)
    #expect(stage.backoff.first == 0 && stage.backoff.longest == 31_622_400)
  }

  @Test(arguments: [
    ("greting: hi", "3:3", "the plugin echo has no setting 'greting'", "did you mean 'greeting'?"),
    ("colour: red", "3:3", "the plugin echo has no setting 'colour'", "its settings: greeting, times"),
    ("times: often", "3:10", "times must be a whole number", ""),
    ("voice: load", "3:10", "voice must be one of loud, quiet", "did you mean 'loud'?"),
    ("greeting: [a, b]", "3:13", "greeting must be text", ""),
  ])
  func `a setting that the plugin does not have or as something else is a problem at its place`(
    _ line: String, _ place: String, _ words: String, _ suggestion: String
  ) {
    let reading = read("plugin: echo\nsettings:\n  \(line)\n")
    #expect(reading.stage == nil && reading.problems.count == 1)
    #expect(reading.report().hasPrefix("stage.yaml:\(place): error: \(words)"), "\(reading.report())")
    #expect(reading.report().contains(suggestion), "\(reading.report())")
  }

  @Test func `the value of a mistyped secret is not quoted`() {
    for line in ["pasword: hunter2", "password: [hunter2]", "password: 5555555"] {
      let reading = read("plugin: echo\nsettings:\n  \(line)\n")
      #expect(reading.stage == nil && !reading.report().contains("hunter2") && !reading.report().contains("5555555"))
    }
  }

  @Test func `a setting that must be given need not stand in the file`() throws {
    let reading = read("plugin: echo\nsettings:\n  times: 2\n\n  greeting: hi\n")
    #expect(reading.problems.isEmpty && reading.stage?.settings == ["times": 2, "greeting": "hi"])
    #expect(reading.lines == ["times": 3, "greeting": 5], "each is known by its line")
  }

  @Test func `a plugin that there is not is told with the nearest name`() {
    let report = read("plugin: ecco\n").report()
    #expect(
      report.hasPrefix("stage.yaml:1:9: error: there is no plugin 'ecco'") && report.contains("did you mean 'echo'?"), "\(report)")
    #expect(read("plugin: ecco\nsettings: { a: 1 }\n", plugins: nil).stage != nil, "nobody who knows no plugins checks them")
  }
}
