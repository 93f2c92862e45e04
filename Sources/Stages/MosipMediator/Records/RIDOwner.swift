import JSON
import OpenCRVS
import StageKit

/// Whose a RID is: so none belongs to two births or changes.
struct RIDOwner: KeptRecord {
  static let collection = "rids"

  let key: String
  var version: Int?
  /// The key of the birth or the change.
  let transaction: String
  /// Whether it is a change's.
  let isChange: Bool
  /// The birth that a change makes the UIN of.
  let birth: String?
  /// The RID that took its place.
  let supersededBy: String?
  let document: JSONValue

  /// A RID of a birth or a change.
  init(_ rid: String, of transaction: String, isChange: Bool = false, making birth: String? = nil, supersededBy: String? = nil) {
    key = rid
    version = nil
    self.transaction = transaction
    self.isChange = isChange
    self.birth = birth
    self.supersededBy = supersededBy
    var document: JSONValue = ["txnId": .string(transaction)]
    if isChange { document["change"] = true }
    if let birth { document["birth"] = .string(birth) }
    if let supersededBy { document["supersededBy"] = .string(supersededBy) }
    self.document = document
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    transaction = try read.text("txnId")
    isChange = try read.optionalFlag("change") ?? false
    birth = try read.optionalText("birth")
    supersededBy = try read.optionalText("supersededBy")
    document = record.document
  }
}
