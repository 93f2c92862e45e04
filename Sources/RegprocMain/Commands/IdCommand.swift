import Glibc
import JSON
import Registration
import System

/// `regproc id ...`: identifiers made and checked by the rules that the pipeline itself uses.
enum IdCommand {
  static let generate = Command(
    name: "id generate", summary: "makes UINs, VIDs or RIDs",
    details: """
      UINs and VIDs are drawn uniformly from all numbers that pass the filters. Nothing remembers them, so they are for trying things
      out. The filters are those of the settings in force (`uin.NAME`, `vid.NAME`), which the pipeline's pools use as well.
      --rule NAME=VALUE overrides them, with MOSIP's property names:

      \(filters)
      """,
    operands: [kind],
    options: [
      .number("count", "N", 1...10_000_000, "how many (default: 1)"), rule, center, machine,
      .number("sequence", "N", 1...RID.maximumSequence, "RID: the machine's first count (default: a random one)"),
      .flag("json", "one object a line"),
    ] + settings, example: "id generate uin --count 5", run: runGenerate)

  static let check = Command(
    name: "id check", summary: "says whether UINs, VIDs or RIDs are valid, or which rule they break",
    details: """
      It uses the rules of `id generate`. MOSIP's own validator of UINs is laxer than its generator (no step from 9 to 0, only three equal
      neighbours, no cyclic numbers); --lax uses its rules instead. `-` reads values from standard input, one a line, so that they appear
      in no list of processes. Exit code 0: all are valid; 1: some are not. Filters (the settings' `uin.NAME` and `vid.NAME`, then
      --rule NAME=VALUE):

      \(filters)
      """,
    operands: [kind, Operand(name: "VALUE", meaning: "what is checked; `-` for standard input", isRepeatable: true)],
    options: [
      rule, .flag("lax", "UIN: what MOSIP's validator takes"), center, machine, .flag("json", "one object a line"),
    ] + settings, example: "id check uin 5075291708", run: runCheck)

  /// Where the settings are; the other flags of the settings say nothing of identifiers.
  private static let settings = Settings.options.filter { ["settings", "home"].contains($0.name) }
  private static let kind = Operand(name: "KIND", meaning: "uin, vid or rid")
  private static let rule = Option.text("rule", "NAME=VALUE", "sets a filter of UINs or VIDs", isRepeatable: true)
  private static let center = Option.text(
    "center", "ID", "RID: the registration centre (made: 45451 by default; checked: any)")
  private static let machine = Option.text("machine", "ID", "RID: the machine (made: 45452 by default; checked: any)")

  /// The filters with their defaults, for the help.
  private static var filters: String {
    let rows = FilterSetting.all.map { setting in
      (setting.name, setting.value(in: .uin), setting.value(in: .vid), setting.meaning)
    }
    let head = "filter".padded(to: 38) + "UIN".padded(to: 9) + "VID".padded(to: 9) + "what it is"
    return ([head] + rows.map { $0.padded(to: 38) + $1.padded(to: 9) + $2.padded(to: 9) + $3 }).joined(separator: "\n")
  }

  /// What is asked for, with its rules.
  private enum Rules {
    case uin(UINRules, lax: Bool)
    case vid(VIDRules)
    case rid(RIDRules, center: String?, machine: String?)

    init(_ arguments: Arguments, _ around: Surroundings, for command: Command) throws {
      let inForce = try Settings(arguments, around).identifiers
      let name = arguments.operands[0].lowercased()
      func filter(_ start: DigitFilter) throws -> DigitFilter {
        var filter = start
        for text in arguments.texts("rule") {
          let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
          guard parts.count == 2 else { throw WrongUse("--rule must be NAME=VALUE", command) }
          if let wrong = FilterSetting.apply(parts[0], parts[1], to: &filter) { throw WrongUse(wrong, command) }
        }
        return filter
      }
      func refuse(_ options: String...) throws {
        for option in options where arguments.has(option) {
          throw WrongUse("--\(option) has no meaning for a \(name)", command)
        }
      }
      switch name {
      case "uin":
        try refuse("center", "machine", "sequence")
        self = .uin(UINRules(try filter(inForce.uin.filter)), lax: arguments.has("lax"))
      case "vid":
        try refuse("center", "machine", "sequence", "lax")
        self = .vid(VIDRules(try filter(inForce.vid.filter)))
      case "rid":
        try refuse("rule", "lax")
        self = .rid(inForce.rid, center: arguments.text("center"), machine: arguments.text("machine"))
      default:
        throw WrongUse("`\(arguments.operands[0])` is no kind of identifier; there are uin, vid and rid", command)
      }
    }

    func fault(_ value: String) -> IdentifierError? {
      switch self {
      case .uin(let rules, let lax): return lax && rules.isAcceptedUpstream(value) ? nil : rules.check(value)
      case .vid(let rules): return rules.check(value)
      case .rid(_, let center, let machine):
        do throws(IdentifierError) {
          _ = try RID(value, center: center, machine: machine)
          return nil
        } catch {
          return error
        }
      }
    }
  }

  private static func runGenerate(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let count = arguments.integer("count") ?? 1
    let values: [String]
    switch try Rules(arguments, around, for: generate) {
    case .uin(let rules, _): values = try rules.generate(count: count)
    case .vid(let rules): values = try rules.generate(count: count)
    case .rid(let rules, let center, let machine):
      values = try rids(count, rules, center ?? "45451", machine ?? "45452", from: arguments.integer("sequence"))
    }
    var out: [UInt8] = []
    let kind = arguments.operands[0].lowercased()
    for value in values {
      if arguments.has("json") {
        out += JSONValue.object([kind: .string(value)]).encoded()
      } else {
        out += value.utf8
      }
      out.append(UInt8(ascii: "\n"))
    }
    try around.console.deliver(out)
    return 0
  }

  /// Counts on behind the first; where the count begins anew the time goes on by a second, so that none comes twice.
  private static func rids(
    _ count: Int, _ rules: RIDRules, _ center: String, _ machine: String, from first: Int?
  ) throws -> [String] {
    let room = RID.maximumSequence - rules.sequenceStart + 1
    let start = first ?? SecureRandom.bytes(4).reduce(0) { $0 << 8 | Int($1) } % room + rules.sequenceStart
    var sequence = start
    var moment = Instant.now
    return try (0..<count).map { _ in
      let rid = try RID(center: center, machine: machine, sequence: sequence, at: moment)
      let next = rules.sequence(after: sequence)
      if next <= sequence { moment = Instant(milliseconds: moment.milliseconds + 1_000) }
      sequence = next
      return rid.text
    }
  }

  private static func runCheck(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let rules = try Rules(arguments, around, for: check)
    var values: [String] = []
    for word in arguments.operands.dropFirst() {
      guard word == "-" else {
        values.append(word)
        continue
      }
      let lines = try StandardInput.read(limit: 256 << 20).split(
        separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)
      values += lines.map { String(decoding: $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0, as: UTF8.self) }
    }
    var isAllValid = true
    var out: [UInt8] = []
    for value in values {
      let fault = rules.fault(value)
      if fault != nil { isAllValid = false }
      if arguments.has("json") {
        var object: JSONObject = ["value": .string(value), "valid": .bool(fault == nil)]
        if let fault {
          object["rule"] = .string(fault.rule.rawValue)
          object["code"] = .string(fault.code)
        }
        out += JSONValue.object(object).encoded()
      } else {
        out += "\(Console.visible(value))  \(fault.map { "\($0.rule.rawValue)  \($0.code)" } ?? "valid")".utf8
      }
      out.append(UInt8(ascii: "\n"))
    }
    try around.console.deliver(arguments.has("json") ? VisibleText.json(out) : out)
    return isAllValid ? 0 : 1
  }
}
