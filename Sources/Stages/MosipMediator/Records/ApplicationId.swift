import JSON
import OpenCRVS
import StageKit

/// The RID that a caller was given under a key of its own.
struct ApplicationId: KeptRecord {
  static let collection = "application_ids"

  let key: String
  var version: Int?
  let rid: String
  let document: JSONValue

  /// A RID for the caller's key.
  init(_ key: String, rid: String) {
    self.key = key
    version = nil
    self.rid = rid
    document = ["rid": .string(rid)]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    key = record.key
    version = record.version
    rid = try RecordReader(record).text("rid")
    document = record.document
  }
}
