/// What became of an event that was worked on, as both sides tell it.
package enum ChangeResult: String, Sendable, CaseIterable {
  /// An identity was made.
  case created
  case deactivated
  /// The identity says that its person is deceased, and stays active.
  case flagged
  case corrected
  case activated
  case unchanged
}

/// Whether a result is a success.
package enum ResultStatus: String, Sendable, CaseIterable {
  case success
  case error
}
