import HTTP
import StageKit
import StageRuntime
import Stages

/// What stages do and can be told.
enum StagesReference {
  static func page(_ settings: Settings, _ around: Surroundings) throws -> String {
    var page = Markdown(
      "Stages",
      """
      From every `stages/<name>/stage.yaml` and the plugin that it names; `regproc stages describe NAME` shows the same with what is in
      force. A setting is given in `stage.yaml` under `settings`, or as the environment variable `REGPROC_STAGE_<STAGE>_<SETTING>`, in capitals and
      with underscores.
      """)
    let stages = try StageFolder(settings).stages
    let endpoints = try EndpointsCommand.withEngine(settings, around) { engine in
      stages.reduce(into: [:]) { $0[$1.name] = engine.endpoints(of: $1.name) }
    }
    for stage in stages {
      guard let spec = Plugins.named(stage.plugin)?.spec else { continue }
      page.heading(2, stage.name)
      page.paragraph(stage.summary.prefix(1).uppercased() + stage.summary.dropFirst() + ".")
      page.table(["what", "value"], StagesCommand.facts(stage, spec))
      page.table(
        ["kind of work", "at once", "tries", "pause"],
        spec.work.map { work in
          [
            work.name, work.concurrencySetting.map { "by `\($0)`" } ?? String(work.concurrency),
            work.tries.map(String.init) ?? "no end",
            "\(work.backoff.first) s, doubled up to \(work.backoff.longest) s",
          ]
        })
      if let served = endpoints[stage.name], !served.isEmpty {
        page.paragraph("It serves ([who may call](endpoints.md)):")
        page.list(served.map { "`\($0.method == "*" ? "any, below" : $0.method) \($0.pathPattern)`" })
      }
      if !spec.counts.isEmpty {
        page.paragraph("It counts ([metrics](metrics.md)):")
        page.list(spec.counts.map { "`\(MetricFamily($0).name)`" })
      }
      page.table(
        ["setting", "kind", "default", "in stage.yaml", "meaning"],
        spec.settings.map { field in
          [
            "`\(field.name)`", field.kind.words, shown(field.defaultValue, field) ?? "(must be given)",
            shown(stage.settings[field.name], field) ?? "-", field.meaning + (field.unit.map { " [\($0)]" } ?? ""),
          ]
        })
    }
    return page.text
  }

  /// A value; of a file only its name, since the folder is this machine's.
  private static func shown(_ value: SettingValue?, _ field: SettingField) -> String? {
    guard let value else { return nil }
    if field.kind == .file, case .text(let path) = value, let name = path.split(separator: "/").last { return String(name) }
    return field.shown(value)
  }
}
