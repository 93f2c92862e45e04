import Cryptography
import JSON

/// What OpenCRVS sends to a webhook: `{"timestamp","id","event":{"hub":{"topic"},"context":[<bundle>]}}`
/// (docs/upstream/opencrvs-and-websub.md#12-delivery). The inline images of its DocumentReferences, which make events of many MB and which
/// no mediator needs, are left out.
package struct OpenCRVSEvent: Sendable {
  /// e.g. `BIRTH_REGISTERED`.
  package let topic: String
  /// The whole event without inline images, otherwise as it came.
  private(set) var document: JSONValue
  /// The FHIR bundle of the event, in the names of the reference country.
  package let bundle: OpenCRVSBundle
  /// SHA-256, lower-case hex, of topic and content of the bundle (`CommonForm.content`): the same for the same content,
  /// whatever delivery it came with, however often OpenCRVS touched its Task since and in whatever order its members
  /// were written.
  package let digest: String
  private let contextIndex: Int
  /// What the country calls things in its events.
  private let names: FieldNames
  /// The bundle in the names that both mediators read.
  private let translated: JSONValue

  /// What an event's `hub` has as `names` when it was made here and so is in the standard names, whatever the country's are.
  static let standardNames = "standard"

  /// Reads an event of a country that has these names for things.
  /// - Throws: OPN-CRVS-001 for what is no JSON or has no bundle, Task or child, -033 for what is not UTF-8, -035 for what is too large.
  package init(_ body: [UInt8], names: FieldNames = .standard) throws(MediatorError) {
    let value = try MediatorBodies.json(body, "the event", largest: EventLimits.forwarded)
    guard let topic = value["event"]?["hub"]?["topic"]?.string, FHIR.isIdentifier(topic) else {
      throw MediatorError(.unreadable, "the event has no topic")
    }
    guard var contexts = value["event"]?["context"]?.array,
      let index = contexts.firstIndex(where: { $0["resourceType"]?.string == "Bundle" })
    else { throw MediatorError(.unreadable, "the event has no bundle") }
    let isStandard = value["event"]?["hub"]?["names"]?.string == Self.standardNames
    let names = isStandard ? FieldNames.standard : names
    contexts[index] = Self.withoutImages(contexts[index])
    translated = names.translated(contexts[index])
    bundle = try OpenCRVSBundle(translated, topic: topic)
    self.names = names
    var event = value["event"]
    event?["context"] = .array(contexts)
    var document = value
    document["event"] = event
    self.topic = topic
    self.document = document
    contextIndex = index
    digest = Hash.sha256Hex(
      JSONValue.array([.string(topic), CommonForm.content(translated)]).encoded(sortedKeys: true))
  }

  /// The event in UTF-8.
  package var encoded: [UInt8] { document.encoded() }

  /// The event in the form that both mediators read, with an identifier MOSIP_AID at the child (or deceased) instead of
  /// any that was there.
  package func carrying(applicationId: String) -> [UInt8] {
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

  /// Whether an event that is kept is of the same content. The digest alone does
  /// not tell: releases before counted the application id and the state of the Task, and one side may have been sent
  /// another form than now.
  /// - Parameters:
  ///   - known: the digest that is kept.
  ///   - kept: gets the event that is kept, which is asked for when its digest is another.
  package func isSame(asDigest known: String, kept: () async throws -> [UInt8]?) async throws -> Bool {
    if known == digest || known == formerDigest { return true }
    guard let bytes = try await kept(), let other = try? OpenCRVSEvent(bytes, names: names) else { return false }
    return topic == other.topic
      && CommonForm.content(commonForm).encoded(sortedKeys: true)
        == CommonForm.content(other.commonForm).encoded(sortedKeys: true)
  }

  /// The digest of releases that counted the state of the Task.
  private var formerDigest: String {
    let bundle = document["event"]?["context"]?[contextIndex] ?? .null
    return Hash.sha256Hex(
      JSONValue.array([.string(topic), CommonForm.withoutApplicationIds(bundle)]).encoded(sortedKeys: true))
  }

  private var commonForm: JSONValue { CommonForm.of(translated, bundle) }

  /// A bundle without the inline images of its DocumentReferences.
  static func withoutImages(_ bundle: JSONValue) -> JSONValue {
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
