import StageRuntime
import Stages

/// `regproc reference`: the pages of docs/reference, and the tables of docs/route-file.md, from what the program itself goes by.
enum ReferenceCommand {
  static let command = Command(
    name: "reference", summary: "prints a page of the reference as Markdown",
    details:
      "As it stands in docs/reference and, of route-file, in docs/route-file.md; stages and endpoints by the settings in force.",
    operands: [Operand(name: "PAGE", meaning: "one of \(Page.allCases.map(\.rawValue).joined(separator: ", "))")],
    takesSettings: true, example: "reference metrics", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let name = arguments.operand(0) ?? ""
    guard let page = Page(rawValue: name) else {
      throw WrongUse(
        "there is no page \(name)", command,
        suggestion: Page.allCases.map(\.rawValue).nearest(to: name).map { "regproc reference \($0)" })
    }
    around.console.out(try text(page, arguments, around))
    return 0
  }

  /// The pages.
  enum Page: String, CaseIterable {
    case stages, settings, commands, metrics, codes, endpoints
    case routeFile = "route-file"
  }

  private static func text(_ page: Page, _ arguments: Arguments, _ around: Surroundings) throws -> String {
    switch page {
    case .stages: try StagesReference.page(try Settings(arguments, around), around)
    case .settings: SettingsReference.page
    case .commands: CommandsReference.page
    case .metrics: MetricsReference.page
    case .codes: CodesReference.page
    case .endpoints: try EndpointsCommand.page(try Settings(arguments, around), around)
    case .routeFile: RouteFileReference.tables
    }
  }
}

/// What a process counts.
enum MetricsReference {
  static var page: String {
    var page = Markdown(
      "Metrics",
      """
      What a process tells at `/actuator/prometheus` of its operators' port (`admin.port`), in the text format of Prometheus. A counter
      begins at 0 with its process.
      """)
    page.table(["metric", "type", "labels", "meaning"], Metric.allCases.map { cells($0.family) })
    page.heading(2, "Counts of stages")
    page.paragraph("What plugins count of their own, for each of their stages.")
    page.table(
      ["metric", "type", "labels", "meaning", "plugin"],
      Plugins.all.flatMap { plugin in plugin.spec.counts.map { cells(MetricFamily($0)) + [plugin.spec.name] } })
    return page.text
  }

  private static func cells(_ family: MetricFamily) -> [String] {
    ["`\(family.name)`", family.type, family.labels.joined(separator: ", "), family.help]
  }
}

/// What regproc says when something is not as it should be.
enum CodesReference {
  static var page: String {
    var page = Markdown(
      "Codes",
      """
      What a code means and what a person can do; "-" stands for nothing. Codes of MOSIP keep MOSIP's meaning. A code that another
      service gives is passed on as it is, so there are more than these.
      """)
    page.heading(2, "Exit codes")
    page.paragraph(Commands.exitCodes + ".")
    for family in CodeFamily.all {
      page.heading(2, family.title)
      page.paragraph(family.intro)
      page.table(["code", "meaning", "what to do"], family.codes.map { ["`\($0.code)`", $0.meaning, $0.remedy] })
    }
    return page.text
  }
}

/// What the command line takes.
enum CommandsReference {
  static var page: String {
    var page = Markdown(
      "Commands",
      """
      `regproc COMMAND --help` says the same. Options are written `--name VALUE` or `--name=VALUE`; `--` ends them.
      """)
    page.paragraph("Exit codes: " + Commands.exitCodes + ".")
    page.heading(2, "Settings as options")
    page.paragraph("Commands that take settings have these options as well; [settings](settings.md) has all settings.")
    page.table(["option", "meaning"], Settings.options.map { ["`\($0.usage)`", $0.meaning] })
    for command in Commands.all {
      page.heading(2, "regproc " + command.name)
      page.paragraph(command.summary.prefix(1).uppercased() + command.summary.dropFirst() + ".")
      page.code("\(command.usage)\nregproc \(command.example)")
      page.paragraphs(command.details)
      page.table(
        ["what follows", "meaning"],
        command.operands.map { ["`\($0.usage)`", $0.meaning] }
          + command.options.map { ["`\($0.usage)`" + ($0.isRepeatable ? " (more than once)" : ""), $0.meaning] })
      if command.takesSettings { page.paragraph("It takes the options of the settings.") }
    }
    return page.text
  }
}

/// What the program can be told.
enum SettingsReference {
  static var page: String {
    var page = Markdown(
      "Settings of the program",
      """
      Each is given in a settings file (`--settings FILE`, with sections: `kafka.partitions` is `partitions` below `kafka`), in the
      environment or as an option. An option counts more than the environment, that more than the file, that more than
      `deploy/settings/base.yaml`, and that more than the default. `regproc settings` shows what is in force and where it comes
      from. Settings of stages are in [stages](stages.md).
      """)
    var sections: [(name: String, entries: [SettingEntry])] = []
    for entry in SettingEntry.all {
      let section = entry.name.contains(".") ? String(entry.name.prefix { $0 != "." }) : ""
      if let place = sections.firstIndex(where: { $0.name == section }) {
        sections[place].entries.append(entry)
      } else {
        sections.append((section, [entry]))
      }
    }
    for section in sections {
      page.heading(2, section.name.isEmpty ? "Without a section" : section.name)
      page.table(
        ["setting", "environment", "option", "value", "default", "meaning"],
        section.entries.map { entry in
          [
            "`\(entry.name)`", "`\(entry.variable)`", entry.flag.map { "`--\($0)`" } ?? "-", entry.kind.words,
            entry.defaultValue.map { $0.isEmpty ? "(empty)" : "`\($0)`" } ?? "-",
            entry.meaning + (entry.isSecret ? " (secret)" : ""),
          ]
        })
    }
    return page.text
  }
}
