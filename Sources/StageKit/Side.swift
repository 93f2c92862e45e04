/// Whose cluster a stage runs in. The two sides share no database, no keys and no Kafka: they know each other's URLs and certificates.
public enum Side: String, Sendable, CaseIterable {
  /// OpenCRVS' side: the OpenCRVS-side mediator.
  case opencrvs
  /// MOSIP's side: everything else.
  case mosip
}
