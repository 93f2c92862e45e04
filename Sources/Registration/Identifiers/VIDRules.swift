import System

/// What a VID is: 15 digits and a check digit, made and accepted by the same filters (docs/upstream/packet-and-crypto.md#44-vid).
public struct VIDRules: Sendable, Hashable {
  /// What a VID must pass.
  public let filter: DigitFilter

  /// Rules with settings of a deployment.
  public init(_ filter: DigitFilter = .vid) { self.filter = filter }

  /// So many different new VIDs. Throws when settings leave too few.
  public func generate(count: Int) throws(IdentifierError) -> [String] {
    var source = DigitGenerator(filter)
    return try source.numbers(count)
  }

  /// The first rule in the validator's order that a text breaks; nil for a VID.
  public func check(_ text: String) -> IdentifierError? {
    let bytes = Array(text.utf8)
    if bytes.isEmpty { return IdentifierError(.empty, "KER-IDV-001") }
    if bytes.count != filter.length { return IdentifierError(.length, "KER-IDV-003") }
    guard bytes.allSatisfy({ (48...57).contains($0) }) else { return IdentifierError(.digits, "KER-IDV-004") }
    let digits = bytes.map { $0 - 48 }
    if let rule = filter.fault(digits) { return IdentifierError(rule, "KER-IDV-002") }
    return Verhoeff.isValid(digits) ? nil : IdentifierError(.checksum, "KER-IDV-005")
  }
}

/// Where a VID is in its life.
public enum VIDStatus: String, Sendable, CaseIterable {
  /// Made, not yet in use.
  case draft = "DRAFT"
  /// In use.
  case active = "ACTIVE"
  /// Taken back.
  case revoked = "REVOKED"
  /// Its time is up.
  case expired = "EXPIRED"
  /// Its transactions are used up.
  case used = "USED"
  /// Replaced by a new one: as a policy writes it.
  case regenerated = "REGENERATE"
  /// No longer good.
  case invalidated = "INVALIDATED"
  /// Its UIN is deactivated.
  case deactivated = "DEACTIVATED"
}

/// A type of VID and what holds for it (mosip-vid-policy.json; docs/upstream/packet-and-crypto.md#44-vid).
public struct VIDPolicy: Sendable, Hashable {
  /// What making another VID of a UIN comes to.
  public enum Creation: Sendable, Hashable {
    /// A new one beside those there are.
    case add
    /// A new one, and the oldest gets this status.
    case replaceOldest(VIDStatus)
    /// None: the limit is reached.
    case refused
  }

  /// The type's name in capitals.
  public let type: String
  /// Minutes that it is good; nil for ever.
  public let validForMinutes: Int?
  /// Authentications it is good for; nil without end.
  public let allowedTransactions: Int?
  /// How many of this type a UIN has at one time.
  public let allowedInstances: Int
  /// Whether a new one takes the oldest one's place at the limit.
  public let autoRestore: Bool
  /// The status of the one replaced.
  public let restoreOnAction: VIDStatus

  /// A type of VID.
  public init(
    type: String, validForMinutes: Int?, allowedTransactions: Int?, allowedInstances: Int, autoRestore: Bool,
    restoreOnAction: VIDStatus
  ) {
    self.type = type.uppercased()
    self.validForMinutes = validForMinutes
    self.allowedTransactions = allowedTransactions
    self.allowedInstances = allowedInstances
    self.autoRestore = autoRestore
    self.restoreOnAction = restoreOnAction
  }

  /// For ever, as often as wanted, one at a time.
  public static let perpetual = VIDPolicy(
    type: "PERPETUAL", validForMinutes: nil, allowedTransactions: nil, allowedInstances: 1, autoRestore: true,
    restoreOnAction: .revoked)
  /// Half an hour, twice.
  public static let temporary = VIDPolicy(
    type: "TEMPORARY", validForMinutes: 30, allowedTransactions: 2, allowedInstances: 5, autoRestore: false,
    restoreOnAction: .regenerated)
  /// Without a time, but for two transactions: so upstream ships it, whatever the name says.
  public static let oneTimeUse = VIDPolicy(
    type: "ONETIMEUSE", validForMinutes: nil, allowedTransactions: 2, allowedInstances: 5, autoRestore: false,
    restoreOnAction: .revoked)

  /// The types that MOSIP ships.
  public static let standard = [perpetual, temporary, oneTimeUse]

  /// The shipped policy of a type's name, in whatever case.
  public static func named(_ type: String) -> VIDPolicy? { standard.first { $0.type == type.uppercased() } }

  /// 9999-12-31T23:59:59.999Z: how "no expiry" is stored.
  public static let noExpiry = Instant(milliseconds: 253_402_300_799_999)

  /// The last moment of a VID that is made now.
  public func expiry(from now: Instant) -> Instant {
    validForMinutes.map { Instant(milliseconds: now.milliseconds + Int64($0) * 60_000) } ?? Self.noExpiry
  }

  /// What making another one comes to when so many are active.
  public func creation(active: Int) -> Creation {
    if active < allowedInstances { return .add }
    return autoRestore ? .replaceOldest(restoreOnAction) : .refused
  }

  /// Whether a holder may ask for a new one in place of this one: not where that happens by itself.
  public var allowsRegeneration: Bool { !autoRestore }
}
