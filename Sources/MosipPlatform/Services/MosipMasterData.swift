import HTTP
import JSON
import StageKit
import Synchronization

/// MOSIP's master data over REST (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces): `possiblevalues/{kind}`, which
/// knows dynamic fields and the levels of the location hierarchy. Each kind is fetched once in a while at most; one that is not there is
/// asked for again each time.
final class MosipMasterData: MasterData {
  /// Only a request that the service does not understand fails again.
  static let kinds = ErrorKinds(refused: ["KER-MSD-999"], others: .unavailable)

  private let client: ServiceClient
  private let languages: String
  private let timing: Timing
  private let known = Mutex<[String: (values: [MasterDataValue], fetchedAt: Double)]>([:])
  fileprivate static let operation = "master data"
  private static let keepSeconds = 300.0

  /// - Parameter languages: those whose names are asked for, e.g. `["eng", "fra"]`: the service answers none that it is not asked for.
  init(_ client: ServiceClient, languages: [String], timing: Timing) {
    self.client = client
    self.languages = languages.joined(separator: ",")
    self.timing = timing
  }

  func values(of kind: String) async throws -> [MasterDataValue]? {
    let now = timing.now()
    let kept = known.withLock { $0[kind] }
    if let kept, now < kept.fetchedAt + Self.keepSeconds { return kept.values }
    let values: [MasterDataValue]
    do {
      let answer = try await client.call(
        Self.operation, "GET", "/v1/masterdata/possiblevalues/" + URLText.encode(kind),
        query: [(name: "langCode", value: languages)], .always)
      values = try client.reader.masterData(answer.response)
    } catch let error as ServiceError where error.isRetriable && error.code != CallError.unauthorised && kept != nil {
      // What was good a while ago is better than a standstill.
      return kept?.values
    }
    known.withLock { known in
      if known.count >= 1000 { known = [:] }
      known[kind] = values.isEmpty ? nil : (values, now)
    }
    // The service tells a kind that it does not know from one without values by nothing.
    return values.isEmpty ? nil : values
  }
}

/// Master data's answers.
extension AnswerReader {
  /// The values of a kind: `{"eng": [{"code": "FLE", "value": "Female", "dataType": "string"}], "fra": [...]}`; a language without values is not there.
  package func masterData(_ response: JSONValue) throws(ServiceError) -> [MasterDataValue] {
    if response.isNull { return [] }
    guard let object = response.object else { throw unreadable(MosipMasterData.operation) }
    var values: [MasterDataValue] = []
    var places: [String: Int] = [:]
    for language in object where !language.value.isNull {
      guard let list = language.value.array else { throw unreadable(MosipMasterData.operation) }
      for entry in list {
        let name = try text("value", of: entry)
        // What has no code is known by its name alone.
        guard let code = try text("code", of: entry) ?? name else { continue }
        let place = places[code] ?? values.count
        if place == values.count {
          places[code] = place
          values.append(MasterDataValue(code: code, names: [:]))
        }
        if let name { values[place].names[language.key] = name }
      }
    }
    return values
  }

  /// A text of an entry without the blanks around it; nil when it is null or has nothing else.
  private func text(_ member: String, of entry: JSONValue) throws(ServiceError) -> String? {
    guard entry.object != nil else { throw unreadable(MosipMasterData.operation) }
    guard let value = entry[member], !value.isNull else { return nil }
    guard let text = value.string else { throw unreadable(MosipMasterData.operation) }
    guard let first = text.firstIndex(where: { !$0.isWhitespace }), let last = text.lastIndex(where: { !$0.isWhitespace })
    else { return nil }
    return String(text[first...last])
  }
}
