import StageKit

/// Tags a birth that was registered late, so that the route file can lead it elsewhere, and counts such births by year of birth.
public struct LateRegistration: StagePlugin {
  public static let spec = PluginSpec(
    name: "late-registration", summary: "tags births that were registered late, and counts them",
    settings: [SettingField("days", .integer, default: 365, unit: "days", "a birth that is older than this is late")])

  private let days: Int

  public init(settings: StageSettings) throws {
    days = settings.integer("days")
    guard days > 0 else { throw SettingError(stage: settings.stage, setting: "days", "must be above 0") }
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    let fields = try await context.services.packets.fields(["dateOfBirth"], of: PacketReference(message))
    guard let born = fields["dateOfBirth"].flatMap(Self.day) else {
      return .failed("EXAMPLE-LATE-FAILED-001", "the packet has no date of birth")
    }
    let age = context.services.clock.now.seconds(since: born) / 86400
    guard age > Double(days) else {
      return .passed("EXAMPLE-LATE-SUCCESS-001", "registered in time", tags: ["LATE_REGISTRATION": "false"])
    }
    return Verdict.passed("EXAMPLE-LATE-SUCCESS-002", "registered late", tags: ["LATE_REGISTRATION": "true"])
      .changing([.add(collection: "late", key: String(born.civil.year), member: "births", by: 1)])
  }

  /// The day of a date as packets have it, e.g. `2024/02/29`.
  private static func day(_ text: String) -> Instant? {
    Instant(iso: text.replacing("/", with: "-") + "T00:00:00.000Z")
  }
}
