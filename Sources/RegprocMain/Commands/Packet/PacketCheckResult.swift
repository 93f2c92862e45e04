import JSON
import Registration

/// One check on a packet, with its result.
struct PacketCheckResult {
  /// The check's name.
  var check: String
  /// Where; nil for the packet as a whole.
  var subPacket: String?
  /// What does not hold, without content; empty when all is well.
  var faults: [String]
  /// Why the check was not made; nil when it was.
  var notMade: String?

  /// In words.
  var words: String {
    notMade.map { "not made: \($0)" } ?? (faults.isEmpty ? "ok" : "failed: \(faults.joined(separator: "; ").withoutControls)")
  }

  /// As an object.
  var json: JSONValue {
    [
      "subPacket": JSONValue(subPacket), "check": .string(check),
      "result": .string(notMade != nil ? "not-made" : faults.isEmpty ? "ok" : "failed"),
      "faults": .array(faults.map(JSONValue.string)),
    ]
  }

  /// All checks that a packet that could be opened went through.
  static func all(of contents: PacketContents, _ findings: [PacketFinding], hasSchema: Bool) -> [PacketCheckResult] {
    var out = ["encryption", "zip", "container"].map { PacketCheckResult(check: $0, subPacket: nil, faults: []) }
    for name in SubPacketName.allCases.reversed() {
      for check in checks(name) {
        let found = findings.filter { $0.check == check && $0.subPacket == name }
        var result = PacketCheckResult(
          check: check.rawValue, subPacket: name.rawValue, faults: found.map { $0.subject ?? "does not fit" })
        if contents.subPackets[name] == nil, check != .subPacket { result.notMade = "the sub-packet is missing" }
        if check == .schema, !hasSchema { result.notMade = "no schema (--schema)" }
        out.append(result)
      }
    }
    return out
  }

  private static func checks(_ name: SubPacketName) -> [PacketFinding.Check] {
    let everywhere: [PacketFinding.Check] = [
      .subPacket, .metadata, .encryptedHash, .signature, .registrationId, .hashFile, .hashSequence, .listedFile,
      .unlistedFile,
      .dataHash, .operationsHash,
    ]
    return everywhere + (name == .id ? [.schemaVersion, .schema] : [])
  }
}
