import JSON
import OpenCRVS
import StageKit

/// The result of an event: as the MOSIP side has sent it, or that none came in time.
struct ResultRecord: KeptRecord, Tellable {
  static let collection = "statuses"

  let key: String
  var version: Int?
  /// The kind of the event, as the MOSIP side says it.
  let type: String
  let status: ResultStatus
  /// The work key of the event.
  let transaction: String?
  let aid: String?
  var takenAid: String? { aid }
  let numberKind: NumberKind?
  let registrationNumber: String?
  let errors: [ToldError]
  let token: KeptToken
  var isHeld: Bool { document["held"]?.bool ?? false }
  private(set) var document: JSONValue

  /// A result without more than an error or a token.
  init(
    _ key: String, type: String, _ status: ResultStatus, transaction: String?, aid: String?, numberKind: NumberKind?,
    number: String?, errors: [ToldError], token: KeptToken = .none
  ) {
    self.key = key
    version = nil
    self.type = type
    self.status = status
    self.transaction = transaction
    self.aid = aid
    self.numberKind = numberKind
    registrationNumber = number
    self.errors = errors
    self.token = token
    var document: JSONObject = [
      "type": .string(type), "status": .string(status.rawValue), "txnId": JSONValue(transaction), "aid": JSONValue(aid),
      "numberKind": JSONValue(numberKind?.rawValue), "registrationNumber": JSONValue(number),
      "errors": .array(errors.map(\.document)),
    ]
    for member in token.members { document[member.key] = member.value }
    self.document = .object(document)
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    type = try read.text("type")
    status = try read.choice("status")
    transaction = try read.optionalText("txnId")
    aid = try read.optionalText("aid")
    numberKind = try read.optionalChoice("numberKind")
    registrationNumber = try read.optionalText("registrationNumber")
    errors = try ToldError.list(read)
    token = try KeptToken(read)
    document = record.document
  }

  /// What became of the event, where it said so.
  var what: ChangeResult? { document["what"]?.string.flatMap(ChangeResult.init) }

  mutating func isHeldBack() { document["held"] = true }

  /// Says what became of the event.
  /// - Parameter fields: the names of the fields that were changed.
  mutating func became(_ what: ChangeResult?, fields: [String]) {
    document["what"] = .string(what?.rawValue ?? "")
    document["changed"] = .array(fields.map(JSONValue.string))
  }
}
