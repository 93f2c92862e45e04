import Registration
import StageKit

/// Documents and captures: what the identity names must be there, and captures must be whole and signed
/// (docs/upstream/stages.md#4-packet-validator, steps 6 and 7).
extension PacketValidator {
  private static let missing = Verdict.failed("RPR-PKV-FAILED-005", "Applicant Document Validation Failed")

  /// What is wrong with the packet's documents; nil when nothing is.
  func documents(_ message: Message, _ context: StageContext) async throws -> Verdict? {
    // Unlike upstream, which looks for the process as a part of the list's text.
    guard settings.boolean("validate-applicant-document"), settings.texts("document-processes").contains(message.process)
    else { return nil }
    let packets = context.services.packets
    let packet = PacketReference(message)
    let documents = settings.texts("documents").compactMap { mapping.field($0) }
    let captures = ["individualBiometrics", "introducerBiometrics"].map { mapping[$0] }
    let named = try await packets.fields(documents + captures, of: packet)
    for field in documents where named[field] != nil {
      guard try await packets.document(field, of: packet) != nil else {
        context.log.info("a document is missing", ["rid": message.rid, "field": field])
        return Self.missing
      }
    }
    for field in captures where named[field] != nil {
      do {
        guard let record = try await packets.biometrics(field, of: packet), !record.segments.isEmpty else { return Self.missing }
      } catch let error as ServiceError where error.code == ServiceError.badBiometrics {
        return Self.malformed(error)
      }
    }
    return nil
  }

  /// What is wrong with the packet's captures; nil when nothing is, or when it has none.
  func biometrics(
    _ packet: PacketReference, _ metaInfo: [String: String], _ context: StageContext
  ) async throws -> Verdict? {
    let packets = context.services.packets
    let persons = ["individualBiometrics", "individualAuthBiometrics", "introducerBiometrics"].map { mapping[$0] }
    let named = try await packets.fields(persons, of: packet)
    var present = persons.filter { named[$0].map { !$0.isEmpty } ?? false }
    let operations = metaInfo["operationsData"].flatMap { Labels($0) }
    for (label, file) in [
      ("officerBiometricFileName", "officer_bio_cbeff"), ("supervisorBiometricFileName", "supervisor_bio_cbeff"),
    ] where operations?[label].map({ !$0.isEmpty }) ?? false { present.append(file) }

    let version = metaInfo["metaData"].flatMap { Labels($0) }?[Labels.clientVersion]
    let isSigned = version.map { !settings.texts("unsigned-client-versions").contains($0) } ?? true
    for person in present {
      let record: BiometricRecord?
      do { record = try await packets.biometrics(person, of: packet) } catch let error as ServiceError
        where error.code == ServiceError.badBiometrics
      { return Self.malformed(error) }
      guard let record, isSigned else { continue }
      for segment in record.segments where !segment.isException {
        let token: String
        do { token = try segment.deviceToken() } catch { return Self.unsigned(error.description) }
        guard try await context.services.keys.verifyDeviceToken(token) else {
          return Self.unsigned("the device's signature does not fit")
        }
      }
    }
    return nil
  }

  private static func malformed(_ error: ServiceError) -> Verdict {
    .failed("RPR-PKV-FAILED-015", "XSD validation failed. \(error.message)")
  }
  private static func unsigned(_ reason: String) -> Verdict {
    .failed("RPR-PKV-FAILED-016", "Biometric Signature validation failed--> \(reason)")
  }
}
