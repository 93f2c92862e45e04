import JSON
import OpenCRVS
import StageKit

/// Which birth a registration number belongs to.
struct NumberOwner: KeptRecord {
  static let collection = "registration_numbers"

  let key: String
  var version: Int?
  /// The key of the birth.
  let transaction: String
  let document: JSONValue

  /// A number of a birth.
  init(_ number: String, of transaction: String) {
    key = OpenCRVSRecordKey.of(number)
    version = nil
    self.transaction = transaction
    document = ["txnId": .string(transaction)]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    key = record.key
    version = record.version
    transaction = try RecordReader(record).text("txnId")
    document = record.document
  }
}
