import JSON
import System

/// A trace in the single `b3` header, as every record on the bus carries it: `<traceId>-<spanId>`, no sampling flag
/// (docs/upstream/bus-and-routes.md#4-keys-and-headers; OpenZipkin B3).
public struct TraceContext: Sendable, Hashable {
  /// 32 or 16 hex digits, lower case.
  public let traceId: String
  /// 16 hex digits, lower case.
  public let spanId: String

  /// A trace with ids that are given; nil unless they are 32 or 16 and 16 lower-case hex digits, not all zero.
  public init?(traceId: String, spanId: String) {
    guard [16, 32].contains(traceId.utf8.count), spanId.utf8.count == 16, Self.isId(traceId), Self.isId(spanId)
    else { return nil }
    self.traceId = traceId
    self.spanId = spanId
  }

  private init(trace: String, span: String) {
    traceId = trace
    spanId = span
  }

  /// Reads the header of a record; a sampling flag and a parent's id behind the two are passed over. Nil for anything else:
  /// then a new trace begins.
  public init?(header: String) {
    let parts = header.split(separator: "-", omittingEmptySubsequences: false)
    guard (2...4).contains(parts.count) else { return nil }
    self.init(traceId: String(parts[0]), spanId: String(parts[1]))
  }

  /// The trace of a record's headers, as a dead letter keeps them: a JSON object of texts.
  public init?(inHeaders json: String) {
    guard let header = try? JSONValue.parse(Array(json.utf8))["b3"]?.string else { return nil }
    self.init(header: header)
  }

  /// A new trace. Ids need to differ, not to be secret: any generator does.
  public static func start(using random: inout some RandomNumberGenerator) -> TraceContext {
    TraceContext(trace: id(&random) + id(&random), span: id(&random))
  }

  /// The header by which a request goes on with a trace, as a new span; nil without a trace.
  public static func header(continuing trace: TraceId?) -> String? {
    guard let trace else { return nil }
    var random = SystemRandomNumberGenerator()
    return TraceContext(trace: trace.text, span: id(&random)).header
  }

  /// The same trace, with a new span.
  public func next(using random: inout some RandomNumberGenerator) -> TraceContext {
    TraceContext(trace: traceId, span: Self.id(&random))
  }

  /// The text of the header.
  public var header: String { traceId + "-" + spanId }

  private static func id(_ random: inout some RandomNumberGenerator) -> String {
    let value = UInt64.random(in: 1 ... .max, using: &random)
    return Encoding.hex((0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64($0))) })
  }

  private static func isId(_ text: String) -> Bool {
    text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) } && text.utf8.contains { $0 != 48 }
  }
}
