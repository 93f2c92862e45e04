import JSON
import OpenCRVS
import StageKit

/// The UIN token of a birth that has come back, by registration number.
struct TokenRecord: KeptRecord, Tellable {
  static let collection = "tokens"

  let key: String
  var version: Int?
  let numberKind: NumberKind?
  let registrationNumber: String?
  let aid: String?
  var takenAid: String? { aid }
  let token: KeptToken
  var errors: [ToldError] { [] }
  let document: JSONValue

  /// A token that has come.
  init(_ token: KeptToken, ofBirth number: String, aid: String?) {
    key = OpenCRVSRecordKey.of(number)
    version = nil
    numberKind = .birth
    registrationNumber = number
    self.aid = aid
    self.token = token
    var document: JSONObject = [
      "numberKind": .string(NumberKind.birth.rawValue), "registrationNumber": .string(number), "aid": JSONValue(aid),
    ]
    for member in token.members { document[member.key] = member.value }
    self.document = .object(document)
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    numberKind = try read.optionalChoice("numberKind")
    registrationNumber = try read.text("registrationNumber")
    aid = try read.optionalText("aid")
    token = try KeptToken(read)
    document = record.document
  }
}
