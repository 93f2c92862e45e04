import HTTP
import JSON
import StageKit
import System

/// The packet manager's endpoints (docs/upstream/stages.md#04-calls-shared-by-stages;
/// docs/upstream/packet-and-crypto.md#111-packet-manager-over-rest).
extension StandInMosip {
  private static let packets = "/commons/v1/packetmanager"

  var packetEndpoints: [Endpoint] {
    let packets = services.packets
    return [
      endpoint("POST", Self.packets + "/searchFields") { request in
        let content = try Self.content(request)
        let names = content["fields"]?.array?.compactMap(\.string) ?? []
        let found = try await packets.fields(names, of: try Self.reference(content))
        var fields = JSONObject()
        // Every name that was asked for is in the answer.
        for name in names { fields[name] = JSONValue(found[name]) }
        return Self.done(["fields": .object(fields)])
      },
      endpoint("POST", Self.packets + "/metaInfo") { request in
        Self.done(["fields": Self.object(try await packets.metaInfo(of: try Self.reference(try Self.content(request))))])
      },
      endpoint("POST", Self.packets + "/audits") { request in
        let audits = try await packets.audits(of: try Self.reference(try Self.content(request)))
        return Self.done(.array(audits.map { ["fields": Self.object($0)] }))
      },
      endpoint("POST", Self.packets + "/document") { request in
        let content = try Self.content(request)
        let name = try Self.text(content, "documentName")
        guard let document = try await packets.document(name, of: try Self.reference(content)) else { return Self.done(.null) }
        return Self.done([
          "document": .string(Encoding.base64(document.content)), "value": .string(name), "type": .string(document.type),
          "format": .string(document.format), "refNumber": JSONValue(document.refNumber),
        ])
      },
      endpoint("POST", Self.packets + "/biometrics") { request in
        let content = try Self.content(request)
        var person = try Self.text(content, "person")
        let packet = try Self.reference(content)
        if let file = Self.operators[person] {
          // They are no fields of the identity, and with a source only those are looked for.
          guard packet.source == nil else { return Self.done(.null) }
          person = file
        }
        do {
          return Self.done(try await packets.biometrics(person, of: packet).map(Self.json) ?? .null)
        } catch let error as ServiceError where error.code == ServiceError.badBiometrics {
          return Self.failed("KER-PUT-012", "Unable to get biometric")
        }
      },
      endpoint("POST", Self.packets + "/validatePacket") { request in
        let faults = try await packets.validate(try Self.reference(try Self.content(request)))
        return Self.done(["valid": .bool(faults.isEmpty)])
      },
      endpoint("POST", Self.packets + "/getTags") { request in
        let content = try Self.content(request)
        let names = content["tagNames"]?.array?.compactMap(\.string)
        let tags = try await packets.tags(of: try Self.text(content, "id"), named: names)
        if let names, names.contains(where: { tags[$0] == nil }) { return Self.failed("KER-PUT-024", "Tag not found") }
        return Self.done(["tags": Self.object(tags)])
      },
      endpoint("POST", Self.packets + "/addOrUpdateTag") { request in
        let content = try Self.content(request)
        let rid = try Self.text(content, "id")
        let old = try await packets.tags(of: rid, named: nil)
        var tags: [String: String] = [:]
        for member in content["tags"]?.object ?? [:] {
          let value = member.value.string ?? ""
          // A change of letter case alone is no change to upstream.
          if old[member.key]?.lowercased() != value.lowercased() { tags[member.key] = value }
        }
        try await packets.addOrUpdateTags(of: rid, tags)
        return Self.done(["tags": content["tags"] ?? .null])
      },
      endpoint("POST", Self.packets + "/deleteTag") { request in
        let content = try Self.content(request)
        let rid = try Self.text(content, "id")
        let names = content["tagNames"]?.array?.compactMap(\.string) ?? []
        let there = try await packets.tags(of: rid, named: names)
        guard there.count == names.count else { return Self.failed("KER-PUT-024", "Tag not found") }
        try await packets.deleteTags(of: rid, named: names)
        return Self.done(["status": "Deleted Successfully"])
      },
    ]
  }

  static func object(_ texts: [String: String]) -> JSONValue {
    var out = JSONObject()
    for (name, value) in texts.sorted(by: { $0.key < $1.key }) { out[name] = .string(value) }
    return .object(out)
  }

  private static func reference(_ content: JSONValue) throws -> PacketReference {
    var process = try text(content, "process")
    var iteration = 1
    if let dash = process.lastIndex(of: "-"), let number = Int(process[process.index(after: dash)...]) {
      (process, iteration) = (String(process[..<dash]), number)
    }
    return PacketReference(rid: try text(content, "id"), source: content["source"]?.string, process: process, iteration: iteration)
  }
}
