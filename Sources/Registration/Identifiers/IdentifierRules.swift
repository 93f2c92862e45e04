import Cryptography
import System

/// The rules of a deployment's identifiers in one place: generators, pools and checkers of a process all get them from here.
public struct IdentifierRules: Sendable, Hashable {
  /// What a UIN is.
  public var uin: UINRules
  /// What a VID is.
  public var vid: VIDRules
  /// How RIDs are counted.
  public var rid: RIDRules
  /// UINs that are made ahead at a time; more are made when a quarter of it is left.
  public var uinFill: Int
  /// The same for VIDs.
  public var vidFill: Int
  /// What partners' tokens of a UIN are made by.
  public var tokenRule = PartnerToken.Rule.hashedTwice

  /// Rules of one's own; the defaults are MOSIP's filters (docs/upstream/packet-and-crypto.md#4-identifiers) and a pool that a small
  /// machine fills in a moment.
  public init(
    uin: UINRules = UINRules(), vid: VIDRules = VIDRules(), rid: RIDRules = RIDRules(), uinFill: Int = 2000,
    vidFill: Int = 2000
  ) {
    self.uin = uin
    self.vid = vid
    self.rid = rid
    self.uinFill = uinFill
    self.vidFill = vidFill
  }

  /// The rules that settings give; a setting that is not given, or whose value is none, has its default.
  /// - Parameter value: the value of a setting of `IdentifierSetting.all` by its name.
  public init(settings value: (String) -> String?) {
    var (uin, vid) = (DigitFilter.uin, DigitFilter.vid)
    for setting in FilterSetting.all {
      if let text = value("uin." + setting.name) { _ = setting.set(text, in: &uin) }
      if let text = value("vid." + setting.name) { _ = setting.set(text, in: &vid) }
    }
    func number(_ name: String) -> Int? { value(name).flatMap { Int($0) } }
    self.init(uin: UINRules(uin), vid: VIDRules(vid))
    if let start = number(IdentifierSetting.sequenceStart), RIDRules.starts.contains(start) {
      rid = RIDRules(sequenceStart: start)
    }
    if let fill = number("uin." + IdentifierSetting.fill), IdentifierSetting.fills.contains(fill) { uinFill = fill }
    if let rule = value(IdentifierSetting.tokenRule).flatMap(PartnerToken.Rule.init(rawValue:)) { tokenRule = rule }
    if let fill = number("vid." + IdentifierSetting.fill), IdentifierSetting.fills.contains(fill) { vidFill = fill }
  }
}

/// One setting of `IdentifierRules`: name, meaning, default and check. The program's settings file, its environment and its reference
/// come from this table.
public struct IdentifierSetting: Sendable {
  /// `uin.length.sequence-limit`: MOSIP's property without `mosip.kernel.`, where MOSIP has it.
  public let name: String
  /// What it does.
  public let meaning: String
  /// The value where nobody says otherwise.
  public let defaultValue: String
  /// What a value must be, for a person.
  public let wanted: String
  private let check: @Sendable (String) -> Bool

  /// Whether a text is a value of it.
  public func isValue(_ text: String) -> Bool { check(text) }

  static let sequenceStart = "rid.sequence-initial-value"
  static let tokenRule = "uin.token-rule"
  static let fill = "pool-fill"
  static let fills = 10...1_000_000

  /// All of them: the filters of UINs, those of VIDs, the pools' sizes, the rule of tokens, the count of RIDs.
  public static let all: [IdentifierSetting] =
    filters("uin", .uin) + [poolFill("uin", "UINs"), token] + filters("vid", .vid) + [poolFill("vid", "VIDs")] + [
      IdentifierSetting(
        name: sequenceStart, meaning: "where a machine's count of RIDs begins, and begins again behind 99999",
        defaultValue: "1", wanted: "a whole number from 1 to 99999",
        check: { Int($0).map(RIDRules.starts.contains) ?? false })
    ]

  private static func filters(_ kind: String, _ filter: DigitFilter) -> [IdentifierSetting] {
    FilterSetting.all.map { setting in
      IdentifierSetting(
        name: "\(kind).\(setting.name)", meaning: setting.meaning, defaultValue: setting.value(in: filter),
        wanted: setting.wanted,
        check: { text in
          var tried = filter
          return setting.set(text, in: &tried)
        })
    }
  }

  private static let token = IdentifierSetting(
    name: tokenRule, meaning: "the version of MOSIP's key manager whose tokens of a UIN for a partner are made: 1.3.0 or 1.2.x",
    defaultValue: PartnerToken.Rule.hashedTwice.rawValue,
    wanted: PartnerToken.Rule.allCases.map(\.rawValue).joined(separator: " or "),
    check: { PartnerToken.Rule(rawValue: $0) != nil })

  private static func poolFill(_ kind: String, _ what: String) -> IdentifierSetting {
    IdentifierSetting(
      name: "\(kind).\(fill)", meaning: "\(what) made ahead at a time; more are made when a quarter is left",
      defaultValue: "2000", wanted: "a whole number from \(fills.lowerBound) to \(fills.upperBound)",
      check: { Int($0).map(fills.contains) ?? false })
  }
}

extension DigitFilter {
  /// 16 hex digits that are the same for the same settings alone: a pool knows by them which rules its numbers were made by.
  public var mark: String {
    let text = FilterSetting.all.map { "\($0.name)=\($0.value(in: self))" }.joined(separator: ";")
    return Encoding.hex(Array(Hash.sha256(Array("\(text);equal-run=\(equalRunLimit)".utf8)).prefix(8)))
  }
}
