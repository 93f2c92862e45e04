import StageRuntime
import StageKit

/// `--side opencrvs|mosip|all`: whose stages a command is about.
enum SideOption {
  static let option = Option(
    name: "side", value: "SIDE", meaning: "the stages of one side, opencrvs or mosip, or all (default: that of the setting `side`)"
  ) { text in
    text == "all" || Side(rawValue: text) != nil ? nil : "opencrvs, mosip or all"
  }

  /// The stages of the side that a person chose.
  static func chosen(_ stages: [StageDefinition], _ arguments: Arguments, _ settings: Settings) -> [StageDefinition] {
    let named = arguments.text("side").map { Side(rawValue: $0) }
    guard let side = named ?? settings.side else { return stages }
    return stages.filter { $0.side == side }
  }
}
