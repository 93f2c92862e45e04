/// The status of an identity, as MOSIP names it.
enum IdentityStatus: String, Sendable, CaseIterable {
  case activated = "ACTIVATED"
  case blocked = "BLOCKED"
  case deactivated = "DEACTIVATED"
}

/// What an identity says in `declaredAsDeceased`.
enum Deceased: String, Sendable, CaseIterable {
  case yes = "Y"
  case no = "N"
}
