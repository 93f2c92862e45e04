/// The hosts to which requests go whose addresses come from others: callbacks of subscriptions, and data shares of credentials.
public struct OutgoingHosts: Sendable {
  private let hosts: Set<String>?
  private let hasLoopback: Bool

  /// Every host.
  public static let any = OutgoingHosts(hosts: nil)

  /// The hosts of some URLs; a text that is no URL is a host itself. Loopback under each of its names, when one of them is loopback.
  public init(_ texts: [String]) {
    self.init(hosts: Set(texts.compactMap { Self.host(of: $0.contains("://") ? $0 : "http://\($0)") }))
  }

  private init(hosts: Set<String>?) {
    self.hosts = hosts
    hasLoopback = hosts?.contains(where: Self.isLoopback) ?? true
  }

  /// Whether requests may go to a URL. One that can be read in two ways is of no host.
  public func allows(_ url: String) -> Bool {
    guard let host = Self.host(of: url) else { return false }
    guard let hosts else { return true }
    return hosts.contains(host) || hasLoopback && Self.isLoopback(host)
  }

  /// The host of a URL, in lower case and without its port; nil for what is no plain http or https URL.
  public static func host(of url: String) -> String? {
    guard let colon = url.firstIndex(of: ":"), ["http", "https"].contains(url[..<colon].lowercased()),
      url[colon...].hasPrefix("://")
    else { return nil }
    let authority = url[url.index(colon, offsetBy: 3)...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    let plain = authority.utf8.allSatisfy {
      switch $0 {
      case 48...58, 65...90, 97...122: true
      case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "["), UInt8(ascii: "]"): true
      default: false
      }
    }
    guard plain else { return nil }
    let host: Substring
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      let rest = authority[authority.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
      host = authority[...end]
    } else {
      host = authority.prefix { $0 != ":" }
    }
    return host.isEmpty ? nil : host.lowercased()
  }

  private static func isLoopback(_ host: String) -> Bool {
    if host == "localhost" || host == "[::1]" { return true }
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}
