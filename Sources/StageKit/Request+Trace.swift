import HTTP
import Registration

extension Request {
  /// The trace of the header `b3`; nil for a request that says none.
  public var trace: TraceId? { headers["b3"].flatMap { TraceContext(header: $0) }.flatMap { TraceId($0.traceId) } }
}
