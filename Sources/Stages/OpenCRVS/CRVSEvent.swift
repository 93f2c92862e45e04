import JSON
import Registration

/// What OpenCRVS sends to a webhook: `{"timestamp","id","event":{"hub":{"topic"},"context":[<bundle>]}}`
/// (facts/opencrvs-and-websub 1.2). The inline images of its DocumentReferences, which make events of many MB and which
/// no mediator needs, are left out.
struct CRVSEvent: Sendable {
  /// The largest event that is taken, in bytes.
  static let largest = 52_428_800

  /// e.g. `BIRTH_REGISTERED`.
  let topic: String
  /// The whole event without inline images, otherwise as it came.
  private(set) var document: JSONValue
  let bundle: CRVSBundle
  /// SHA-256, lower-case hex, of topic and bundle: the same for the same content, whatever delivery it came with and in
  /// whatever order its members were written.
  let digest: String
  private let contextIndex: Int

  /// Reads an event.
  /// - Throws: OPN-CRVS-001 for what is no JSON or has no bundle, Task or child.
  init(_ body: [UInt8]) throws(MediatorFault) {
    let value: JSONValue
    do {
      value = try JSONValue.parse(body, limits: JSONLimits(maximumBytes: Self.largest))
    } catch {
      throw MediatorFault(.unreadable, "the event is not readable JSON (\(error))")
    }
    guard let topic = value["event"]?["hub"]?["topic"]?.string, FHIR.isIdentifier(topic) else {
      throw MediatorFault(.unreadable, "the event has no topic")
    }
    guard var contexts = value["event"]?["context"]?.array,
      let index = contexts.firstIndex(where: { $0["resourceType"]?.string == "Bundle" })
    else { throw MediatorFault(.unreadable, "the event has no bundle") }
    contexts[index] = Self.withoutImages(contexts[index])
    bundle = try CRVSBundle(contexts[index], topic: topic)
    var event = value["event"]
    event?["context"] = .array(contexts)
    var document = value
    document["event"] = event
    self.topic = topic
    self.document = document
    contextIndex = index
    digest = Digest.hex(JSONValue.array([.string(topic), contexts[index]]).encoded(sortedKeys: true))
  }

  /// The event in UTF-8.
  var encoded: [UInt8] { document.encoded() }

  /// The event with an identifier MOSIP_AID in coding form at the child (or deceased), instead of any that was there.
  func carrying(applicationId: String) -> [UInt8] {
    guard var contexts = document["event"]?["context"]?.array, var entries = contexts[contextIndex]["entry"]?.array
    else {
      return encoded
    }
    let place = bundle.subject.entry
    let kept = (entries[place]["resource"]?["identifier"]?.array ?? []).filter { FHIR.code($0["type"]) != "MOSIP_AID" }
    let identifier: JSONValue = [
      "type": ["coding": [["system": "http://opencrvs.org/specs/identifier-type", "code": "MOSIP_AID"]]],
      "value": .string(applicationId),
    ]
    var resource = entries[place]["resource"]
    resource?["identifier"] = .array(kept + [identifier])
    entries[place]["resource"] = resource
    contexts[contextIndex]["entry"] = .array(entries)
    var event = document["event"]
    event?["context"] = .array(contexts)
    var out = document
    out["event"] = event
    return out.encoded()
  }

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

  /// Whether a text is a RID (facts/packet-and-crypto 4.2).
  static func isRID(_ text: String) -> Bool { (try? RID(text)) != nil }

  /// The same as the name of a container of the object store, which may be a folder: letters, digits and hyphens, else
  /// the SHA-256.
  static func container(_ key: String) -> String {
    let isPlain = key.utf8.allSatisfy {
      (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
    }
    return isPlain && !key.isEmpty && key.utf8.count <= 64 ? key : Digest.hex(Array(key.utf8))
  }

  /// The key of an event: a birth's is the record's id, as upstream has it; others add the kind and the moment of the
  /// change (facts/opencrvs-and-websub 5.3).
  static func of(_ event: CRVSEvent) -> String {
    let id = event.bundle.compositionId
    if event.topic == "BIRTH_REGISTERED" { return of(id) }
    return of("\(id):\(event.topic):\(event.bundle.task.lastModified ?? event.digest)")
  }
}
