import Kafka
import Registration
import System

/// A record as the bridge reads it: with everything that has to be handed on.
struct BridgeRecord: Sendable {
  var origin: RecordOrigin
  var key: [UInt8]?
  var value: [UInt8]?
  var headers: [RecordHeader] = []

  /// The last header of a name.
  func header(_ name: String) -> [UInt8]? { headers.last { $0.name == name }?.value }

  /// The trace that it belongs to; nil where it says none.
  var trace: TraceId? { header("b3").flatMap { bytes in bytes.withUnsafeBytes { TraceId(header: $0) } } }

  /// The hop that a record of ours carries; Java stages write none.
  var hop: HopHeader? {
    header("\(HopHeader.name)").flatMap { bytes in bytes.withUnsafeBytes { HopHeader($0) } }
  }

  /// What the record is keyed with: its key, else what the header `RID` says, which upstream sets to the same.
  func keyText(rid: String) -> String {
    (key ?? header("RID")).map { String(decoding: $0, as: UTF8.self) } ?? rid
  }

  /// What upstream keys workflow commands by: the header `RID` before the key (docs/upstream/bus-and-routes.md#4-keys-and-headers).
  func ridHeader(rid: String) -> String {
    (header("RID") ?? key).map { String(decoding: $0, as: UTF8.self) } ?? rid
  }
}

/// A record as the bridge sends it.
struct BridgeOutgoing: Sendable, Equatable {
  var topic: String
  var key: [UInt8]?
  var value: [UInt8]?
  var headers: [RecordHeader]
}

extension BridgeOutgoing {
  /// The hop that it is, when the journal has it.
  var hop: HopHeader? {
    headers.last { $0.name == "\(HopHeader.name)" }?.value.flatMap { bytes in bytes.withUnsafeBytes { HopHeader($0) } }
  }

  /// A message on its way to a stage: value, key and headers are those of the record it was read from. `b3` and `RID`, which upstream's
  /// consumers take for granted, are made where a foreign producer forgot them.
  init(_ hop: OutgoingHop, from record: BridgeRecord) {
    topic = hop.topic
    key = Array(hop.key.utf8)
    value = hop.message
    let own = "\(HopHeader.name)"
    headers = Self.completed(record.headers.filter { $0.name != own }, key: hop.key, trace: hop.trace, hop: hop.id)
    headers.append(
      RecordHeader(own, Array(HopHeader(id: hop.id, run: hop.run, attempt: hop.attempt).text.utf8)))
  }

  /// A message of the journal, whose record is not at hand any more.
  init(_ hop: OutgoingHop) {
    self.init(hop, from: BridgeRecord(origin: RecordOrigin(topic: "", partition: 0, offset: 0)))
  }

  /// A workflow command for upstream's engine, with the headers of the record that led to it.
  init(_ action: WorkflowInternalAction, from record: BridgeRecord, hop: HopId) {
    topic = Topic.workflowInternalAction
    let rid = record.ridHeader(rid: action.rid)
    key = Array(RecordKey.workflow(incomingKey: rid, command: action.command).utf8)
    value = action.encoded()
    let own = "\(HopHeader.name)"
    headers = Self.completed(record.headers.filter { $0.name != own }, key: rid, hop: hop)
  }

  private static func completed(
    _ headers: [RecordHeader], key: String, trace: TraceId? = nil, hop: HopId
  ) -> [RecordHeader] {
    var headers = headers
    func has(_ name: String) -> Bool { headers.contains { $0.name == name && $0.value != nil } }
    if !has("b3") {
      headers.removeAll { $0.name == "b3" }
      let trace = trace ?? TraceId(of: key)
      let bytes = [UInt8](unsafeUninitializedCapacity: TraceId.longestHeader) { out, count in
        count = trace.writeHeader(into: out.baseAddress!) { hop.writeSpan(into: $0) }
      }
      headers.append(RecordHeader("b3", bytes))
    }
    if !has("RID") {
      headers.removeAll { $0.name == "RID" }
      headers.append(RecordHeader("RID", Array(key.utf8)))
    }
    return headers
  }
}
