import OpenCRVS
import JSON
import Registration
import StageKit
import System

/// By what births are known that look like one child under two registration numbers: keyed hashes of what their events say of child and mother.
///
/// Two births of one child have the same `likeness`: names in the default language (`NameText.letters`; of the first name where none is in it),
/// date of birth and gender. `motherLikeness`, of the mother's names, tells children of one name and day apart. Who has the records alone
/// learns no name and can try none out: the key is derived from the private key that opens the mediator's envelopes.
struct BirthLikeness: Sendable {
  /// 64 lower-case hex characters each; nil for a mother who is not known or has no name.
  let likeness: String
  let motherLikeness: String?

  /// By the transaction of the birth; read by reports alone.
  static let collection = "birth_likenesses"

  /// Nil for a child without a name or a day of birth, of whom nothing could be said.
  init?(of bundle: OpenCRVSBundle, _ mapping: BirthMapping, _ keys: any EnvelopeKeys) async throws {
    guard let name = Self.name(bundle.subject, mapping), let day = bundle.subject.birthDate.flatMap(BirthMapping.mosipDate) else {
      return nil
    }
    let gender = NameText.letters(bundle.subject.gender ?? "")
    likeness = try await Self.code([.string(name), .string(day), .string(gender)], label: "likeness of births: child", keys)
    guard let mother = bundle.mother.flatMap({ Self.name($0, mapping) }) else {
      motherLikeness = nil
      return
    }
    motherLikeness = try await Self.code([.string(mother)], label: "likeness of births: mother", keys)
  }

  /// The record of a birth's likeness, by the birth's transaction.
  func change(_ transaction: String) -> StageChange {
    var document: JSONObject = ["likeness": .string(likeness)]
    if let motherLikeness { document["motherLikeness"] = .string(motherLikeness) }
    return .put(collection: Self.collection, key: transaction, document: .object(document))
  }

  private static func name(_ person: OpenCRVSPerson, _ mapping: BirthMapping) -> String? {
    mapping.languages.main(person.names.filter { !NameText.letters($0.value).isEmpty }).map { NameText.letters($0.value) }
  }

  private static func code(_ parts: [JSONValue], label: String, _ keys: any EnvelopeKeys) async throws -> String {
    Encoding.hex(try await keys.code(JSONValue.array(parts).encoded(), label: label, as: MediatorOwner.mosip))
  }
}

extension MosipMediator {
  /// What is to be kept beside a birth, so that its like can be found.
  func likeness(of event: OpenCRVSEvent, _ transaction: String, _ context: StageContext) async throws -> [StageChange] {
    try await BirthLikeness(of: event.bundle, mapping, context.services.envelopeKeys).map { [$0.change(transaction)] } ?? []
  }
}
