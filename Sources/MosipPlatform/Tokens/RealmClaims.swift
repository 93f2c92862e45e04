import JSON
import StageKit

/// What a realm's token says of its holder.
package struct RealmClaims {
  /// The user or service account.
  package let name: String
  /// The client that it was given to.
  package let client: String
  package let roles: Set<String>

  /// Nothing for claims that name nobody.
  package init?(_ claims: JSONValue) {
    let prefix = "service-account-"
    var name = claims["preferred_username"]?.string ?? claims["azp"]?.string ?? claims["sub"]?.string ?? ""
    if name.hasPrefix(prefix) { name.removeFirst(prefix.count) }
    guard !name.isEmpty else { return nil }
    self.name = name
    client = claims["azp"]?.string ?? claims["clientId"]?.string ?? claims["client_id"]?.string ?? name
    roles = SignedToken.roles(in: claims)
  }
}
