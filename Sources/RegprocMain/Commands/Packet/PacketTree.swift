import Cryptography
import JSON
import Registration
import System

/// What `packet inspect` shows of an opened packet.
struct PacketTree {
  let file: String
  let size: Int
  /// Of the upload file.
  let hash: String
  let packet: PacketFileReader.Opened
  /// The files of the keys that signatures were held against.
  let signers: [String]
  /// Whether values are shown.
  let reveals: Bool

  private struct Row {
    var name: String
    var size: Int
    var hash: String
    var cover: String
  }

  private var names: PacketObjectNames {
    PacketObjectNames(
      rid: packet.contents.rid, source: packet.contents.source, processName: packet.contents.processName)
  }

  private var parts: [SubPacket] { SubPacketName.allCases.reversed().compactMap { packet.contents.subPackets[$0] } }

  /// The whole as a text for a person.
  func text() throws -> String {
    var out = "\(file)\n  \(size) bytes, SHA-256 \(hash)\n"
    out += "  RID \(packet.contents.rid), source \(packet.contents.source), process \(packet.contents.processName), "
    out += "refId \(packet.refId)\n"
    for part in parts {
      let info = part.info
      out += "\n  \(part.name.rawValue)\n"
      out += "    encrypted   \(packet.sizes[part.name] ?? 0) bytes, SHA-256 \(Encoding.upperHex(info.encryptedHash))"
      out += fits(.encryptedHash, part.name) ? "\n" : ", which is NOT its hash\n"
      out += "    signed      \(signature(part.name).words)\n"
      out +=
        "    made        \(shown(info.creationDate)) by \(shown(info.providerName)) \(shown(info.providerVersion)), "
      out += "schema \(shown(info.schemaVersion))\n"
      out += "    object      \(names.rid)/\(names.key(part.name))\n"
      for row in try rows(of: part) { out += "    \(row.name)  \(row.size) bytes  \(row.hash)  \(row.cover)\n" }
      out += "    fields      \(part.identity.keys.map(shown).joined(separator: " "))\n"
      if reveals {
        for (title, object) in [("identity", part.identity), ("metaInfo", part.metaInfo)] {
          out += "    \(title)\n"
          let text = String(decoding: JSONValue.object(object).encoded(pretty: true), as: UTF8.self)
          for line in text.split(separator: "\n") { out += "      \(line)\n" }
        }
      }
    }
    if !packet.findings.isEmpty {
      out += "\n  what does not fit: " + packet.findings.map { shown($0.description) }.joined(separator: ", ") + "\n"
    }
    return out
  }

  /// The whole as an object.
  func json() throws -> JSONValue {
    let subPackets = try parts.map { part -> JSONValue in
      let info = part.info
      var object: JSONObject = [
        "name": .string(part.name.rawValue), "object": .string("\(names.rid)/\(names.key(part.name))"),
        "size": .number(JSONNumber(packet.sizes[part.name] ?? 0)),
        "encryptedHash": .string(Encoding.upperHex(info.encryptedHash)),
        "hashFits": .bool(fits(.encryptedHash, part.name)), "signature": .string(signature(part.name).word),
        "signedBy": JSONValue(packet.signedBy[part.name].map { signers[$0] }), "id": .string(info.id),
        "schemaVersion": .string(info.schemaVersion), "creationDate": .string(info.creationDate),
        "provider": .string("\(info.providerName) \(info.providerVersion)"),
        "files": .array(
          try rows(of: part).map {
            [
              "name": .string($0.name), "size": .number(JSONNumber($0.size)), "sha256": .string($0.hash),
              "coveredBy": .string($0.cover),
            ]
          }), "fields": .array(part.identity.keys.map(JSONValue.string)),
      ]
      if reveals {
        object["identity"] = .object(part.identity)
        object["metaInfo"] = .object(part.metaInfo)
      }
      return .object(object)
    }
    return [
      "file": .string(file), "size": .number(JSONNumber(size)), "hash": .string(hash),
      "rid": .string(packet.contents.rid),
      "source": .string(packet.contents.source), "process": .string(packet.contents.processName),
      "refId": .string(packet.refId),
      "subPackets": .array(subPackets), "findings": .array(packet.findings.map { .string($0.description) }),
    ]
  }

  private func fits(_ check: PacketFinding.Check, _ name: SubPacketName) -> Bool {
    !packet.findings.contains { $0.check == check && $0.subPacket == name }
  }

  /// Who signed the plaintext of a sub-packet.
  private func signature(_ name: SubPacketName) -> (word: String, words: String) {
    let machine = packet.refId.split(separator: "_").last.map(String.init) ?? ""
    if let signer = packet.signedBy[name] {
      return ("valid", "by the key in \(signers[signer]), for machine \(shown(machine))")
    }
    if !packet.signaturesAreChecked {
      return ("unchecked", "not checked (--signer); machine \(shown(machine)) is said to have")
    }
    return ("invalid", "by NONE of the keys given")
  }

  private func rows(of part: SubPacket) throws -> [Row] {
    func sequence(_ key: String) -> Set<String> {
      Set(
        (part.metaInfo[key]?.array ?? []).flatMap { $0["value"]?.array?.compactMap { $0.string?.lowercased() } ?? [] })
    }
    let data = sequence("hashSequence1")
    let operations = sequence("hashSequence2")
    return try part.fileNames.map { name in
      var hash = HashStream(.sha256)
      let stem = PacketFileCommands.stem(name)
      _ = try part.read(stem) { hash.update($0) }
      let key = stem.lowercased()
      let cover = data.contains(key) ? "data hash" : operations.contains(key) ? "operations hash" : "signature only"
      return Row(
        name: shown(name), size: part.size(of: stem) ?? 0, hash: Encoding.upperHex(hash.finish()), cover: cover)
    }
  }

  private func shown(_ text: String) -> String { text.withoutControls }
}

extension String {
  /// A text of a packet for a terminal: its control characters must do nothing there.
  var withoutControls: String {
    String(UnicodeScalarView(unicodeScalars.map { $0.value < 32 || (127..<160).contains($0.value) ? "\u{FFFD}" : $0 }))
  }
}
