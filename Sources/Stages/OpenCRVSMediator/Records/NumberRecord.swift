import JSON
import OpenCRVS
import StageKit

/// The registration number of a record that OpenCRVS leaves to the taker: made once, and kept before anybody is told.
struct NumberRecord: KeptRecord {
  static let collection = "numbers"

  let key: String
  var version: Int?
  private(set) var number: String
  /// What was last heard of its persons, by a hash; nil where nobody asked.
  private(set) var state: String?
  /// The version of the change that made them so.
  private(set) var change: String?
  private(set) var document: JSONValue

  init(_ number: String, of record: String, _ kind: OpenCRVSTask.Kind) {
    key = Self.key(record, kind)
    version = nil
    self.number = number
    document = ["recordId": .string(record), "number": .string(number)]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    number = try read.text("number")
    state = try read.optionalText("state")
    change = try read.optionalText("change")
    document = record.document
  }

  static func key(_ record: String, _ kind: OpenCRVSTask.Kind) -> String {
    OpenCRVSRecordKey.of("\(record):\(kind.rawValue)")
  }

  /// The record has another number now: OpenCRVS has this one at another record, or the country made a new one for a new try.
  mutating func isRenamed(to number: String) {
    self.number = number
    document["number"] = .string(number)
  }

  /// The persons of the record are these from now on.
  /// - Parameter change: the version of the change; nil for how it was first.
  mutating func isNow(_ state: String, by change: String?) {
    self.state = state
    document["state"] = .string(state)
    guard let change else { return }
    self.change = change
    document["change"] = .string(change)
  }
}
