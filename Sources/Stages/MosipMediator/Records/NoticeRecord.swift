import JSON
import OpenCRVS
import StageKit

/// A message to a person that is or was on its way.
struct NoticeRecord: KeptRecord {
  static let collection = "notices"

  let key: String
  var version: Int?
  /// The key of the change that it tells of.
  let changeKey: String
  let document: JSONValue

  /// The message of a piece of work.
  init(_ work: WorkItem, of change: ChangeRecord) {
    key = OpenCRVSRecordKey.of(work.key)
    version = nil
    changeKey = change.key
    document = ["change": .string(changeKey)]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    key = record.key
    version = record.version
    changeKey = try RecordReader(record).text("change")
    document = record.document
  }
}
