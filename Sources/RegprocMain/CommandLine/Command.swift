import System
import YAML

/// A command of the program: its help and its parser come from this table, so neither can drift from the other.
struct Command: Sendable {
  /// One or two words, e.g. `up`, `routes check`.
  var name: String
  /// One line for the list.
  var summary: String
  /// What a person should know before using it; wrapped by hand.
  var details: String = ""
  var operands: [Operand] = []
  var options: [Option] = []
  /// Whether the options of the settings belong to it as well.
  var takesSettings = false
  /// A line that works, without `regproc`.
  var example: String
  /// Does it; returns the exit code.
  var run: @Sendable (Arguments, Surroundings) async throws -> Int32

  var allOptions: [Option] {
    options + (takesSettings ? Settings.options : []) + [.flag("help", "shows this")]
  }

  /// The command with what follows it.
  var usage: String {
    let words = ["regproc", name] + operands.map(\.usage) + (options.isEmpty && !takesSettings ? [] : ["[options]"])
    return words.joined(separator: " ")
  }

  /// The help of the command.
  var help: String {
    var out = "regproc \(name): \(summary)\n\n"
    out += "Use:      \(usage)\nExample:  regproc \(example)\n"
    if !details.isEmpty { out += "\n\(details)\n" }
    func list(_ title: String, _ rows: [(String, String)]) {
      guard !rows.isEmpty else { return }
      let width = rows.map(\.0.count).max() ?? 0
      out += "\n\(title)\n"
      for (name, meaning) in rows { out += "  \(name.padded(to: width))  \(meaning)\n" }
    }
    list("What follows:", operands.map { ($0.usage, $0.meaning) })
    list("Options:", (options + [.flag("help", "shows this")]).map { ($0.usage, $0.meaning) })
    if takesSettings { list("Settings (see deploy/settings/base.yaml):", Settings.options.map { ($0.usage, $0.meaning) }) }
    return out
  }
}

/// What a command finds around it.
struct Surroundings: Sendable {
  var console: Console
  var environment: [String: String]
  /// The program's own path, by which a repository is found beside it.
  var program: String
}

/// All commands, and how the words of a person reach one.
enum Commands {
  static let all: [Command] =
    [
      UpCommand.command, DemoCommand.command, RunCommand.command,
    ] + SendCommand.all + [
      SampleCommand.births, SampleCommand.events,
      RoutesCommand.check, RoutesCommand.explain, RoutesDecideCommand.command,
      RoutesTextCommands.format, RoutesTextCommands.schema, RoutesImportCommand.command,
      RoutesTestCommand.command, RoutesDiffCommand.command, RoutesStatusCommand.command,
      RoutesGraphCommand.command,
      TopicsCommand.plan, TopicsCommand.create, TopicRightsCommand.acls,
      DatabaseCommand.status, DatabaseCommand.migrate, DatabaseCommand.roles,
      StagesCommand.list, StagesCommand.describe, StagesTryCommand.command, RegistrationsCommand.list, JourneyCommand.command,
      ReplayCommand.command, ReplayManyCommand.jobs, ReplayManyCommand.show, ReplayManyCommand.resume, ReplayManyCommand.cancel,
      JournalCommand.rebuild, HeldCommand.list, HeldCommand.release, AwaitedCommand.list, SpoolCommand.list, SpoolCommand.retry,
      OutcomeCommand.reconcile, OutcomeCommand.report,
      ReleaseCommand.command, EraseCommand.command,
    ] + DeadLettersCommand.all + WorkCommand.all + WaitingCommand.all + PauseCommand.all + [
      IdCommand.generate, IdCommand.check,
      EnvelopeCommand.seal, EnvelopeCommand.open, PacketCreateCommand.command, PacketFileCommands.inspect,
      PacketFileCommands.verify, PacketFileCommands.open, KeysCommand.list, KeysCommand.rotate, KeyExchangeCommand.export,
      KeyExchangeCommand.take, SettingsCommand.command, EndpointsCommand.command, ReferenceCommand.command, DoctorCommand.command,
      ProbeCommand.command,
      DeployCommand.render, VersionCommand.command,
    ]

  /// The version that is told.
  static let versionNumber = "0.1.0"

  /// What the program's exit codes mean.
  static let exitCodes = "0 done, 1 it failed or what was checked is bad, 2 wrong use"

  /// Runs the command that the words name; returns the exit code.
  static func run(_ words: [String], _ around: Surroundings) async -> Int32 {
    let console = around.console
    do {
      guard let first = words.first, first != "--help", first != "help", first != "-h" else {
        if words.count > 1, words[0] == "help" { return await run(Array(words.dropFirst()) + ["--help"], around) }
        if words.isEmpty {
          console.err(overview)
          return 2
        }
        console.out(overview)
        return 0
      }
      if words.count == 2, words[1] == "--help", !family(first).isEmpty, !all.contains(where: { $0.name == first }) {
        console.out(help(of: first))
        return 0
      }
      if first == "--version" {
        return try await VersionCommand.command.run(Arguments([], for: VersionCommand.command), around)
      }
      let (command, rest) = try find(words)
      let arguments = try Arguments(rest, for: command)
      if arguments.has("help") {
        console.out(command.help)
        return 0
      }
      return try await command.run(arguments, around)
    } catch let wrong as WrongUse {
      console.err("regproc: \(wrong.message)\n")
      if let suggestion = wrong.suggestion { console.err("  did you mean \(suggestion)?\n") }
      console.err("  regproc \(wrong.command.isEmpty ? "" : wrong.command + " ")--help shows what there is\n")
      return 2
    } catch let problems as FileProblems {
      console.err(problems.rendered(colour: console.errorsAreColoured))
      return 1
    } catch {
      console.err("regproc: \(error)\n")
      return 1
    }
  }

  private static func find(_ words: [String]) throws(WrongUse) -> (Command, [String]) {
    if words.count > 1, let command = all.first(where: { $0.name == words[0] + " " + words[1] }) {
      return (command, Array(words.dropFirst(2)))
    }
    if let command = all.first(where: { $0.name == words[0] }) { return (command, Array(words.dropFirst())) }
    let family = family(words[0]).map { String($0.name.dropFirst(words[0].count + 1)) }
    if !family.isEmpty {
      let given = words.count > 1 && !words[1].hasPrefix("-") ? "`\(words[1])` is none of them" : "one is missing"
      throw WrongUse(
        "\(words[0]) has the commands \(family.joined(separator: ", ")); \(given)",
        suggestion: words.count > 1 ? family.nearest(to: words[1]).map { "regproc \(words[0]) \($0)" } : nil)
    }
    let names = all.map(\.name) + all.compactMap { $0.name.split(separator: " ").first.map(String.init) }
    throw WrongUse("there is no command \(words[0])", suggestion: names.nearest(to: words[0]).map { "regproc \($0)" })
  }

  /// The commands of two words that begin with this one.
  private static func family(_ word: String) -> [Command] { all.filter { $0.name.hasPrefix(word + " ") } }

  private static func help(of word: String) -> String {
    let commands = family(word)
    return "Commands:\n" + list(commands) + "\nExample:  regproc \(commands[0].example)\n"
      + "\nregproc \(commands[0].name) --help, and likewise for the others, says more.\n"
  }

  private static func list(_ commands: [Command]) -> String {
    let usages = commands.map { ([$0.name] + $0.operands.map(\.usage)).joined(separator: " ") }
    let width = usages.map(\.count).max() ?? 0
    return zip(usages, commands).map { "  \($0.padded(to: width))  \($1.summary)\n" }.joined()
  }

  /// The help of the program.
  static var overview: String {
    let out = """
      regproc: MOSIP's registration pipeline for civil-registration events

      Use:      regproc COMMAND [options]
      Example:  regproc demo --births 20

      Commands:

      """
    return out + list(all)
      + "\nregproc COMMAND --help says more. Exit codes: \(exitCodes).\n"
  }
}

extension Array where Element == String {
  /// The one that was probably meant.
  func nearest(to name: String) -> String? { NearestName.of(name, among: self) }
}

extension String {
  /// With blanks up to a number of characters.
  func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }
}
