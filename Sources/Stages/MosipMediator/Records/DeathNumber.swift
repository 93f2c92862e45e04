import JSON
import OpenCRVS
import StageKit

/// Which record the registration number of a death belongs to.
struct DeathNumber: KeptRecord {
  static let collection = "death_numbers"

  let key: String
  var version: Int?
  /// OpenCRVS' id of the record.
  let recordId: String
  let document: JSONValue

  /// A number of a death.
  init(_ number: String, of recordId: String) {
    key = OpenCRVSRecordKey.of(number)
    version = nil
    self.recordId = recordId
    document = ["record": .string(recordId)]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    key = record.key
    version = record.version
    recordId = try RecordReader(record).text("record")
    document = record.document
  }
}
