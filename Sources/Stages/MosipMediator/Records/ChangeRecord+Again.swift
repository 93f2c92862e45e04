import JSON
import Registration
import StageKit

/// A change that OpenCRVS has sent again after its error.
extension ChangeRecord {
  /// What a go found and decided; the next one finds out anew.
  private static let decisions = [
    "plan", "to", "deceased", "what", "changed", "subjectRid", "person", "otherRid", "otherPerson",
  ]

  /// Whether OpenCRVS has sent it again after its error, and means another go.
  /// - Parameter sending: which one the sender says that it is; nil for a sender that does not count: then it is meant once the error was told.
  func isSentAgain(_ sending: Int?) -> Bool {
    (status == .failed || status == .held) && (sending.map { $0 > self.sending } ?? (toldTake == take))
  }

  /// Whether this go is to run the registration of the one before again.
  var runsItsRegistrationAgain: Bool { status == .taken && sentAgainTake == take && (plan == .packet || plan == .create) }

  /// The same change in its next go.
  /// - Parameters:
  ///   - sending: which sending of it by OpenCRVS begins that.
  ///   - trace: the trace that it came with.
  ///   - runsAgain: whether its registration is run again; else it is found out anew what is to be done, and what an earlier go had begun is
  ///     carried on.
  func nextGo(_ sending: Int, trace: TraceId?, runsAgain: Bool) throws(ServiceError) -> ChangeRecord {
    var next = document
    next["status"] = .string(Status.taken.rawValue)
    next["take"] = JSONValue(take + 1)
    next["sending"] = JSONValue(sending)
    next["trace"] = JSONValue(trace?.text)
    next["sentAgainTake"] = JSONValue(take + 1)
    var gone = ["errorCode", "errorMessage"]
    if !runsAgain {
      if plan != nil {
        next["earlier"] = .object(
          Self.decisions.reduce(into: JSONObject()) { out, name in
            if let value = document[name] { out[name] = value }
          })
      }
      gone += Self.decisions + ["packetHash", "leftOut", "stale"]
    }
    for name in gone { next[name] = nil }
    return try ChangeRecord(StageRecord(collection: Self.collection, key: key, version: version ?? 0, document: next))
  }
}
