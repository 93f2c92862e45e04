import StageTesting
import Registration

extension Sample {
  /// A small id schema with a field of every type.
  static let schema = try! IdSchema(
    json: Array(
      """
      {"definitions":{
      "simpleType":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["language","value"],
        "properties":{"language":{"type":"string"},"value":{"type":"string"}}}},
      "documentType":{"type":"object"},"biometricsType":{"type":"object"}},
      "properties":{"identity":{"required":["IDSchemaVersion"],"properties":{
        "IDSchemaVersion":{"type":"number","fieldCategory":"none"},
        "fullName":{"$ref":"#/definitions/simpleType","fieldCategory":"pvt"},
        "gender":{"$ref":"#/definitions/simpleType","fieldCategory":"pvt","subType":"gender"},
        "residenceStatus":{"$ref":"#/definitions/simpleType","fieldCategory":"kyc"},
        "dateOfBirth":{"type":"string","fieldCategory":"pvt"},
        "phone":{"type":"string","fieldCategory":"pvt"},
        "bloodGroup":{"type":"string","fieldCategory":"pvt","subType":"bloodGroup"},
        "isTwin":{"type":"boolean","fieldCategory":"pvt"},
        "proofOfIdentity":{"$ref":"#/definitions/documentType","fieldCategory":"pvt","subType":"POI"},
        "individualBiometrics":{"$ref":"#/definitions/biometricsType","fieldCategory":"pvt"},
        "UIN":{"type":"string","fieldCategory":"none"}
      }}}}
      """.utf8))
}
