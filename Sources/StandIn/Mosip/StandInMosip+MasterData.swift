import HTTP
import JSON
import StageKit
import System

/// The endpoints of master data.
extension StandInMosip {
  var masterDataEndpoints: [Endpoint] {
    let services = services
    return [
      endpoint("GET", "/v1/masterdata/idschema/latest") { request in
        guard let schema = try await services.schemas.schema(version: request.query("schemaVersion") ?? "") else {
          return Self.failed("KER-SCH-007", "Schema not found")
        }
        return Self.done(["id": "1001", "schemaJson": .string(String(decoding: schema.json.encoded(), as: UTF8.self))])
      },
      endpoint("GET", "/v1/masterdata/possiblevalues/{kind}") { request in
        guard let languages = request.query("langCode") else {
          return Self.failed("KER-MSD-500", "Required request parameter 'langCode' is not present", status: 500)
        }
        let values = try await services.masterData.values(of: request.parameters["kind"] ?? "") ?? []
        // A language without values is left out, and so is everything of a kind that is not there.
        var answer = JSONObject()
        for language in languages.split(separator: ",").map(String.init) {
          let named: [JSONValue] = values.compactMap { value in
            value.names[language].map { ["code": .string(value.code), "value": .string($0), "dataType": "string"] }
          }
          if !named.isEmpty { answer[language] = .array(named) }
        }
        return Self.done(.object(answer))
      },
    ]
  }
}
