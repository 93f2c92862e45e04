import JSON
import Registration

/// What OpenCRVS sends to a webhook: `{"timestamp","id","event":{"hub":{"topic"},"context":[<bundle>]}}`
/// (docs/upstream/opencrvs-and-websub.md#12-delivery). The inline images of its DocumentReferences, which make events of many MB and which
/// no mediator needs, are left out.
struct CRVSEvent: Sendable {
  /// The largest event that is taken, in bytes.
  static let largest = 52_428_800

  /// e.g. `BIRTH_REGISTERED`.
  let topic: String
  /// The whole event without inline images, otherwise as it came.
  private(set) var document: JSONValue
  let bundle: CRVSBundle
  /// SHA-256, lower-case hex, of topic and content of the bundle (`CommonForm.content`): the same for the same content,
  /// whatever delivery it came with, however often OpenCRVS touched its Task since and in whatever order its members
  /// were written.
  let digest: String
  private let contextIndex: Int
  /// What the country calls things in its events.
  private let names: FieldNames
  /// The bundle in the names that both mediators read.
  private let translated: JSONValue

  /// Reads an event of a country that has these names for things.
  /// - Throws: OPN-CRVS-001 for what is no JSON or has no bundle, Task or child, -033 for what is not UTF-8.
  init(_ body: [UInt8], names: FieldNames = .standard) throws(MediatorError) {
    let value = try MediatorBodies.json(body, "the event", largest: Self.largest)
    guard let topic = value["event"]?["hub"]?["topic"]?.string, FHIR.isIdentifier(topic) else {
      throw MediatorError(.unreadable, "the event has no topic")
    }
    guard var contexts = value["event"]?["context"]?.array,
      let index = contexts.firstIndex(where: { $0["resourceType"]?.string == "Bundle" })
    else { throw MediatorError(.unreadable, "the event has no bundle") }
    contexts[index] = Self.withoutImages(contexts[index])
    translated = names.translated(contexts[index])
    bundle = try CRVSBundle(translated, topic: topic)
    self.names = names
    var event = value["event"]
    event?["context"] = .array(contexts)
    var document = value
    document["event"] = event
    self.topic = topic
    self.document = document
    contextIndex = index
    digest = Digest.hex(
      JSONValue.array([.string(topic), CommonForm.content(translated)]).encoded(sortedKeys: true))
  }

  /// The event in UTF-8.
  var encoded: [UInt8] { document.encoded() }

  /// The event in the form that both mediators read, with an identifier MOSIP_AID at the child (or deceased) instead of
  /// any that was there.
  func carrying(applicationId: String) -> [UInt8] {
    var common = commonForm
    guard var entries = common["entry"]?.array else { return encoded }
    let place = CommonForm.subject(common, bundle)
    var resource = entries[place]["resource"]
    let others = resource?["identifier"]?.array ?? []
    resource?["identifier"] = .array(others + [CommonForm.identifier(CommonForm.applicationId, applicationId)])
    entries[place]["resource"] = resource
    common["entry"] = .array(entries)
    var event = document["event"]
    var contexts = event?["context"]?.array ?? []
    contexts[contextIndex] = common
    event?["context"] = .array(contexts)
    var out = document
    out["event"] = event
    return out.encoded()
  }

  /// Whether a record that is kept, with its digest and the event itself, is of the same content. The digest alone does
  /// not tell: releases before counted the application id and the state of the Task, and one side may have been sent
  /// another form than now.
  func isSame(as record: JSONValue, kept: (_ object: String) async throws -> [UInt8]?) async throws -> Bool {
    let known = record["digest"]?.string
    if known == digest || known == formerDigest { return true }
    guard let object = record["object"]?.string, let bytes = try await kept(object), let other = try? CRVSEvent(bytes, names: names)
    else { return false }
    return topic == other.topic
      && CommonForm.content(commonForm).encoded(sortedKeys: true)
        == CommonForm.content(other.commonForm).encoded(sortedKeys: true)
  }

  /// The digest of releases that counted the state of the Task.
  private var formerDigest: String {
    let bundle = document["event"]?["context"]?[contextIndex] ?? .null
    return Digest.hex(
      JSONValue.array([.string(topic), CommonForm.withoutApplicationIds(bundle)]).encoded(sortedKeys: true))
  }

  private var commonForm: JSONValue { CommonForm.of(translated, bundle) }

  private static func withoutImages(_ bundle: JSONValue) -> JSONValue {
    guard let entries = bundle["entry"]?.array else { return bundle }
    var out = bundle
    out["entry"] = .array(
      entries.map { entry in
        guard entry["resource"]?["resourceType"]?.string == "DocumentReference",
          let contents = entry["resource"]?["content"]?.array
        else { return entry }
        var resource = entry["resource"]
        resource?["content"] = .array(
          contents.map { content in
            guard var attachment = content["attachment"] else { return content }
            attachment["data"] = nil
            var content = content
            content["attachment"] = attachment
            return content
          })
        var entry = entry
        entry["resource"] = resource
        return entry
      })
    return out
  }
}

/// The keys of records, made so that any text an event brings is harmless and fits upstream's varchar(64).
enum RecordKey {
  /// The text itself, or its SHA-256 when it is longer than 64 characters or not plain.
  static func of(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { $0 > 32 && $0 < 127 }
    return plain && text.utf8.count <= 64 ? text : Digest.hex(Array(text.utf8))
  }

  /// Whether a text is a RID (docs/upstream/packet-and-crypto.md#42-rid).
  static func isRID(_ text: String) -> Bool { (try? RID(text)) != nil }

  /// The same as the name of a container of the object store, which may be a folder: letters, digits and hyphens, else
  /// the SHA-256.
  static func container(_ key: String) -> String {
    let isPlain = key.utf8.allSatisfy {
      (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
    }
    return isPlain && !key.isEmpty && key.utf8.count <= 64 ? key : Digest.hex(Array(key.utf8))
  }

  /// The key of an event's work: a birth's is the record's id, as upstream has it; a death's adds its kind, since a record has one; all
  /// others add kind and version, which is the moment of the change.
  static func of(_ event: CRVSEvent) -> String {
    let id = event.bundle.compositionId
    switch EventKind(topic: event.topic) {
    case .birth: return of(id)
    case .death: return of("\(id):\(EventKind.death.rawValue)")
    case let kind: return of("\(id):\(kind?.rawValue ?? event.topic):\(event.bundle.task.lastModified ?? event.digest)")
    }
  }
}
