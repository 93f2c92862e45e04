import Registration
import StageKit

/// Checks the person who introduces the applicant: registered, processed and active (docs/upstream/stages.md#6-introducer-validator).
///
/// Captures of the introducer are compared with those of the identity where the packet has some, by a matcher or by ID authentication, if
/// one is configured; births have none. What was not compared is said in the verdict, and ends the packet where a comparison is required.
public struct IntroducerValidator: StagePlugin {
  public static let spec = PluginSpec(
    name: "introducer-validator", summary: "checks that the packet's introducer is registered and active",
    settings: [
      SettingField(
        "absent-introducer", .choice(["pass", "fail"]), default: "pass",
        "what becomes of a packet that names no introducer"),
      SettingField(
        "biometrics", .choice(BiometricsRule.allCases.map(\.rawValue)), default: .text(BiometricsRule.ifPresent.rawValue),
        "off: captures of the introducer are not looked at; if-present: they must match where the packet has some and what compares them is configured; required: without a match the packet ends"
      ),
      SettingField(
        "biometrics-by", .choice(Comparison.allCases.map(\.rawValue)), default: .text(Comparison.matcher.rawValue),
        "what compares captures. matcher: the matcher, with those that the identity repository keeps; id-authentication: MOSIP's ID authentication, by the introducer's UIN"
      ),
      SettingField(
        "introducer-processes", .texts, default: ["NEW", "OPENCRVS_NEW"],
        "processes by which an introducer may have been registered"),
      IdentityMapping.setting,
    ])

  private let mapping: IdentityMapping
  private let absentPasses: Bool
  private let biometricsRule: BiometricsRule
  private let comparison: Comparison
  private let processes: Set<String>

  public init(settings: StageSettings) throws {
    mapping = try IdentityMapping(settings)
    absentPasses = settings.text("absent-introducer") == "pass"
    biometricsRule = BiometricsRule(rawValue: settings.text("biometrics")) ?? .ifPresent
    comparison = Comparison(rawValue: settings.text("biometrics-by")) ?? .matcher
    processes = Set(settings.texts("introducer-processes"))
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    try await ServiceVerdict.judged {
      let fields = try await context.services.packets.fields(
        ["introducerUIN", "introducerRID", "introducerVID", "introducerBiometrics"].map { mapping[$0] },
        of: PacketReference(message))
      func value(_ name: String) -> String? { fields[mapping[name]].flatMap { $0.isEmpty ? nil : $0 } }

      let introducer: IdentityReference
      if let uin = value("introducerUIN") {
        introducer = .uin(uin)
      } else if let rid = value("introducerRID") {
        if let verdict = try await standing(of: rid, context.services.registrations) { return verdict }
        introducer = .rid(rid)
      } else if let vid = value("introducerVID") {
        // Unlike upstream: the tag INTRODUCER_AVAILABILITY counts a VID, so the stage takes one.
        introducer = .vid(vid)
      } else if absentPasses {
        // A code of our own: upstream has no such success.
        return .passed("RPR-IVM-SUCCESS-002", "The packet names no introducer; nothing to validate")
      } else {
        return ServiceVerdict.system("Packet validation failed UIN or RID of Introducer Not Found in Packet")
      }

      let found: Identity?
      do {
        found = try await context.services.identities.identity(introducer)
      } catch let error as ServiceError where error.code == "IDR-VID-004" {
        // By VID the repository gives no identity that is not active, but says so.
        return .failed("RPR-IVM-FAILED-001", "The introducer's identity is not active: \(error.message)")
      } catch let error as ServiceError where error.code == "IDR-VID-001" {
        found = nil
      }
      guard let identity = found else {
        return .error("RPR-IVM-FAILED-003", "Introducer UIN not Found for the Given RID")
      }
      guard identity.status == "ACTIVATED" else {
        return .failed("RPR-IVM-FAILED-001", "The introducer's identity is not active: \(identity.status)")
      }
      return try await compare(
        hasCaptures: value("introducerBiometrics") != nil, identity, PacketReference(message), context)
    }
  }

  // MARK: Captures

  /// What the captures of the introducer say.
  private func compare(
    hasCaptures: Bool, _ identity: Identity, _ packet: PacketReference, _ context: StageContext
  ) async throws -> Verdict {
    let success = "INTRODUCER Validation is Successful"
    guard biometricsRule != .off else { return .passed("RPR-IVM-SUCCESS-001", success) }
    func notCompared(_ why: String) -> Verdict {
      biometricsRule == .required
        ? ServiceVerdict.system("the introducer's biometrics cannot be compared: \(why)")
        : .passed("RPR-IVM-SUCCESS-001", "\(success); biometrics were not compared: \(why)")
    }
    var captured: BiometricRecord?
    if hasCaptures { captured = try await context.services.packets.biometrics(mapping["introducerBiometrics"], of: packet) }
    guard var captured else {
      return biometricsRule == .required
        ? .error("RPR-IVM-FAILED-004", "Introducer Biometric File Name Not Found") : .passed("RPR-IVM-SUCCESS-001", success)
    }
    // What could not be captured, and the photo that says so, is nothing to compare.
    captured.segments.removeAll { $0.isException || $0.isExceptionPhoto }
    let outcome: BiometricMatch
    switch comparison {
    case .matcher:
      guard let kept = try await context.services.identities.biometrics(uin: identity.uin) else {
        // Upstream passes in silence.
        return notCompared("the identity has none")
      }
      guard !captured.segments.isEmpty else { return notCompared("all captures are exceptions") }
      outcome = try await context.services.biometrics.match(captured, with: kept)
    case .identityAuthentication:
      guard !captured.segments.isEmpty else { return notCompared("all captures are exceptions") }
      switch try await context.services.identityAuthentication.authenticate(captured, uin: identity.uin) {
      case .belongs: outcome = .matched
      case .differs(let reason): outcome = .differs(reason)
      case .notPossible(let why): outcome = .notCompared(why)
      }
    }
    switch outcome {
    case .matched: return .passed("RPR-IVM-SUCCESS-001", success)
    case .differs(let what): return .failed("RPR-IVM-FAILED-001", "INTRODUCER Biometric Authentication Failed - \(what)")
    case .notCompared(let why): return notCompared(why)
    }
  }

  /// The verdict over an introducer whose registration is not through; nil when it is.
  private func standing(of rid: String, _ register: any RegistrationRegister) async throws -> Verdict? {
    let all = try await register.registrations(rid: rid)
    guard let registration = all.last(where: { processes.contains($0.process) }) else {
      return all.isEmpty ? Self.onHold : .error("RPR-IVM-FAILED-003", "Introducer UIN not Found for the Given RID")
    }
    switch registration.statusCode {
    case .processed: return nil
    case .rejected, .failed, .reprocessFailed:
      return .error("RPR-IVM-FAILED-006", "Packet Rejected as Parent Packet is Rejected")
    // Unlike upstream, which holds for PROCESSING alone: one that is paused or to be tried again is not through either.
    case .processing, .reprocess, .paused, .pausedForAdditionalInfo, .resumable, .other: return Self.onHold
    }
  }

  /// What is asked of the introducer's captures.
  enum BiometricsRule: String, CaseIterable {
    case off
    case ifPresent = "if-present"
    case required
  }

  /// What compares the introducer's captures.
  enum Comparison: String, CaseIterable {
    /// As upstream has it now (docs/upstream/stages.md#6-introducer-validator).
    case matcher
    /// As upstream's `IntroducerValidator.validateUserBiometric` had it with `AuthUtil` (mosip/registration).
    case identityAuthentication = "id-authentication"
  }

  private static let onHold = Verdict.retry(
    "RPR-IVM-FAILED-005", "Packet On-Hold as Introducer packet is not processed yet.")
}
