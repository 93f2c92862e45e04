import JSON
import OpenCRVS
import StageKit

/// A credential event that the hub has brought, by its id.
struct CredentialRecord: KeptRecord {
  static let collection = "credentials"

  enum Status: String, Sendable, CaseIterable {
    case received = "Received"
    /// Of nobody who was sent here.
    case dropped = "Dropped"
    /// Not believed.
    case refused = "Refused"
    case served = "Served"
    case failed = "Failed"
  }

  let key: String
  var version: Int?
  var status: Status { didSet { document["status"] = .string(status.rawValue) } }
  /// The credential request that it answers.
  let requestId: String?
  /// Why it is not believed.
  var reason: CredentialError? { didSet { document["reason"] = reason.map { .string($0.rawValue) } } }
  var errorCode: String? { didSet { document["errorCode"] = errorCode.map(JSONValue.string) } }
  private(set) var document: JSONValue

  /// An event that has come.
  init(_ key: String, requestId: String?) {
    self.key = key
    version = nil
    status = .received
    self.requestId = requestId
    document = ["status": .string(status.rawValue), "requestId": JSONValue(requestId)]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    status = try read.choice("status")
    requestId = try read.optionalText("requestId")
    reason = try read.optionalChoice("reason")
    errorCode = try read.optionalText("errorCode")
    document = record.document
  }
}
