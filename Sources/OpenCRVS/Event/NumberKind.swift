/// Which number OpenCRVS knows a record by.
package enum NumberKind: String, Sendable, CaseIterable {
  /// The registration number of a birth.
  case birth = "BRN"
  /// The registration number of a death.
  case death = "DRN"
}
