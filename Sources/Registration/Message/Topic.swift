/// Names of topics on the bus (docs/upstream/bus-and-routes.md#3-topics).
public enum Topic {
  /// Where workflow commands go.
  public static let workflowInternalAction = "workflow-internal-action"

  /// A stage's input, shared by all processes: `packet-validator` gives `packet-validator-bus-in`.
  public static func busIn(_ prefix: String) -> String { prefix + "-bus-in" }

  /// A stage's output for one process: `packet-validator` and `OPENCRVS_NEW` give
  /// `packet-validator-opencrvs_new-bus-out`.
  public static func busOut(_ prefix: String, process: String) -> String {
    prefix + "-" + lowercased(process) + "-bus-out"
  }

  /// The topic of an address: the process is put into one that holds `bus-out`, before its last two parts; any other is the
  /// topic itself.
  public static func resolve(_ address: String, process: String) -> String {
    guard contains(address.utf8, "bus-out".utf8) else { return address }
    var parts = address.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
    parts.insert(lowercased(process), at: max(0, parts.count - 2))
    return parts.joined(separator: "-")
  }

  /// The prefix of the stage whose Java class has that simple name, as `registration.reg_stage_name` keeps it:
  /// `CMDValidatorStage` gives `c-m-d-validator`.
  public static func prefix(ofStageClass name: String) -> String {
    var out = ""
    for character in name.dropLast(name.hasSuffix("Stage") ? 5 : 0) {
      if character.isUppercase, !out.isEmpty { out += "-" }
      out += character.lowercased()
    }
    return out
  }

  private static func lowercased(_ text: String) -> String {
    String(decoding: text.utf8.map { (65...90).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
  }

  private static func contains(_ text: String.UTF8View, _ part: String.UTF8View) -> Bool {
    text.indices.contains { text[$0...].starts(with: part) }
  }
}

/// Keys of records (docs/upstream/bus-and-routes.md#4-keys-and-headers).
public enum RecordKey {
  /// What a stage's output is keyed with: `<rid>_<bus-out topic>`, and `_<address>` where the message has one.
  public static func composite(rid: String, busOutTopic: String, address: String?) -> String {
    rid + "_" + busOutTopic + (address.map { "_" + $0 } ?? "")
  }

  /// The same for a stage's own output: `<rid>_<prefix>-<process>-bus-out_<address>`, the process in lower case. Made for every hop, so
  /// in one piece.
  public static func composite(rid: String, topicPrefix: String, process: String, address: String) -> String {
    var (rid, topicPrefix, process, address) = (rid, topicPrefix, process, address)
    let out: StaticString = "-bus-out_"
    let count =
      rid.utf8.count + topicPrefix.utf8.count + process.utf8.count + address.utf8.count + out.utf8CodeUnitCount + 2
    return String(unsafeUninitializedCapacity: count) { bytes in
      var at = bytes.baseAddress!
      func put(_ text: UnsafeBufferPointer<UInt8>) {
        guard let start = text.baseAddress else { return }
        at.update(from: start, count: text.count)
        at += text.count
      }
      func put(_ byte: UInt8) {
        at.pointee = byte
        at += 1
      }
      rid.withUTF8 { put($0) }
      put(UInt8(ascii: "_"))
      topicPrefix.withUTF8 { put($0) }
      put(UInt8(ascii: "-"))
      process.withUTF8 { for byte in $0 { put((65...90).contains(byte) ? byte | 0x20 : byte) } }
      out.withUTF8Buffer { put($0) }
      address.withUTF8 { put($0) }
      return count
    }
  }

  /// What a workflow command is keyed with: the incoming record's key and the action code in lower case.
  public static func workflow(incomingKey: String, command: WorkflowActionCode) -> String {
    incomingKey + "_" + command.actionCode.lowercased()
  }
}
