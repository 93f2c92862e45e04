import Registration
import StageKit

/// Identity schemas that know the fields of births.
package struct SampleSchemas: IdSchemaSource {
  package init() {}

  package func schema(version: String) async throws -> IdSchema? {
    switch version {
    case "0.1": try IdSchema(json: Array(Self.text.utf8))
    // One that knows nothing of deaths.
    case "0.2":
      try IdSchema(
        json: Array(
          Self.text.replacing("declaredAsDeceased", with: "a").replacing("deceasedDeclarationDate", with: "b").replacing(
            "typeOfDeath", with: "c"
          ).utf8))
    default: nil
    }
  }

  /// The shape of MOSIP's default schema with the fields that births have.
  package static let text = """
    {"$schema":"http://json-schema.org/draft-07/schema#","type":"object","additionalProperties":false,"definitions":{"simpleType":{
    "type":"array","items":{"type":"object","additionalProperties":false,"required":["language","value"],"properties":{
    "language":{"type":"string"},"value":{"type":"string"}}}}},"properties":{"identity":{"type":"object",
    "additionalProperties":false,"required":["IDSchemaVersion","fullName"],"properties":{
    "fullName":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},"gender":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},
    "addressLine1":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},
    "addressLine2":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},
    "addressLine3":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},
    "region":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},"city":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},
    "zone":{"fieldCategory":"pvt","$ref":"#/definitions/simpleType"},"dateOfBirth":{"fieldCategory":"pvt","type":"string"},
    "phone":{"fieldCategory":"pvt","type":"string","validators":[{"type":"regex","validator":"^[+]*([0-9]{1})([0-9]{9})$"}]},
    "email":{"fieldCategory":"pvt","type":"string","validators":[{"type":"regex","validator":"^[a-z]+@[a-z.]+$"}]},
    "declaredAsDeceased":{"fieldCategory":"pvt","type":"string"},"deceasedDeclarationDate":{"fieldCategory":"pvt","type":"string"},
    "typeOfDeath":{"fieldCategory":"pvt","type":"string"},"UIN":{"fieldCategory":"none","type":"string"},
    "IDSchemaVersion":{"fieldCategory":"none","type":"number","minimum":0}}}}}
    """
}
