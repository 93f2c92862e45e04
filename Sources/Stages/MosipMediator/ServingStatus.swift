/// What MOSIP is told of a credential that it has sent (docs/upstream/opencrvs-and-websub.md#42-credential_issued).
enum ServingStatus: String, Sendable, CaseIterable {
  case served
  case notDecrypted = "serving_error_decrypt"
  case notReadable = "serving_error_json_parse"
  case noToken = "serving_error_uin_token"
  case notSentBack = "serving_error_sending_back"
}
