import Glibc

/// The names by which the admin listener may be called. A browser says in `Host` by which name its page calls: one of somewhere else whose name
/// was made to lead here (DNS rebinding) is told apart by it.
public struct AdminNames: Sendable {
  /// A host as a `Host` field or a setting has it, read in one way only.
  private enum Host: Hashable, Sendable {
    /// In lower case, without the dot of the root.
    case name(String)
    /// Four bytes or sixteen; one of IPv4 that is written as IPv6 has four.
    case address([UInt8])

    init?(_ text: some StringProtocol) {
      if let address = Self.address(text) {
        self = .address(address)
        return
      }
      let name = text.hasSuffix(".") ? text.dropLast() : text[...]
      let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
      let isPlain = labels.allSatisfy { label in
        (1...63).contains(label.count)
          && label.allSatisfy {
            switch $0 {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"): true
            default: false
            }
          }
      }
      // A name that ends in a number is an address that some read and others do not (127.1, 0x7f.1).
      guard isPlain, name.utf8.count <= 253, let last = labels.last?.first, !(48...57).contains(last) else { return nil }
      self = .name(name.lowercased())
    }

    private static func address(_ text: some StringProtocol) -> [UInt8]? {
      let text = String(text)
      var four = in_addr()
      if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
      var sixteen = in6_addr()
      guard inet_pton(AF_INET6, text, &sixteen) == 1 else { return nil }
      let bytes = withUnsafeBytes(of: &sixteen) { Array($0) }
      return bytes.prefix(12) == AdminNames.mapped[...] ? Array(bytes.suffix(4)) : bytes
    }

    var isLoopback: Bool {
      switch self {
      case .name(let name): name == "localhost"
      case .address(let bytes): bytes.count == 4 ? bytes[0] == 127 : bytes == [UInt8](repeating: 0, count: 15) + [1]
      }
    }
  }

  /// What stands before an address of IPv4 that is written as one of IPv6.
  private static let mapped = [UInt8](repeating: 0, count: 10) + [255, 255]
  private let hosts: Set<Host>

  /// Loopback names and addresses, and these; what is no name and no address is left out.
  public init(_ names: [String] = []) { hosts = Set(names.compactMap { Self.host($0) }) }

  /// Those of this machine as it is now: its name with and without the domain, its addresses when the listener is bound beyond loopback, and
  /// the names that a person gave.
  public init(boundTo host: String, and names: [String]) {
    let own = Self.hostName()
    let short = own.prefix { $0 != "." }
    let addresses = Self.isLoopback(host) ? [] : [host] + Self.interfaceAddresses()
    self.init([own, String(short)] + Self.longNames(of: own, in: Self.hostsFile()) + addresses + names)
  }

  /// The addresses of this machine's interfaces as they are now, and loopback.
  static var ofInterfaces: AdminNames { AdminNames(interfaceAddresses()) }

  /// Whether a request with such a `Host` field is meant for this listener. The port counts for nothing: a forwarded one differs.
  public func allows(host field: String) -> Bool {
    guard let host = Self.host(field) else { return false }
    return host.isLoopback || hosts.contains(host)
  }

  /// Whether a text is one name or address, as `Host` has it.
  public static func isName(_ text: String) -> Bool { host(text) != nil }

  /// Whether a listener bound to a host is reached from this machine alone.
  public static func isLoopback(_ host: String) -> Bool { Host(host)?.isLoopback ?? false }

  /// The host of `host[:port]`, where an address of IPv6 stands in brackets.
  private static func host(_ field: String) -> Host? {
    func isPort(_ text: Substring) -> Bool {
      text.isEmpty || text.first == ":" && text.utf8.count <= 6 && text.utf8.dropFirst().allSatisfy { (48...57).contains($0) }
    }
    if field.hasPrefix("[") {
      guard let end = field.firstIndex(of: "]"), isPort(field[field.index(after: end)...]) else { return nil }
      let inner = field[field.index(after: field.startIndex)..<end]
      return inner.contains(":") ? Host(inner) : nil
    }
    // Without brackets as a setting may have it; a field never ends so.
    if field.utf8.count(where: { $0 == UInt8(ascii: ":") }) > 1 { return Host(field) }
    let end = field.firstIndex(of: ":") ?? field.endIndex
    return isPort(field[end...]) ? Host(field[..<end]) : nil
  }

  private static func hostName() -> String {
    var name = [UInt8](repeating: 0, count: 256)
    let isKnown = name.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { gethostname($0.assumingMemoryBound(to: CChar.self), bytes.count - 1) == 0 } ?? false
    }
    return isKnown ? String(decoding: name.prefix { $0 != 0 }, as: UTF8.self) : ""
  }

  /// A host's name with its domain, as `/etc/hosts` has it. Not by DNS, whose answers are not this machine's own word, and which lets one wait.
  static func longNames(of name: String, in file: String) -> [String] {
    guard !name.isEmpty, !name.contains(".") else { return [] }
    return file.split(whereSeparator: \.isNewline).flatMap { line in
      let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }.dropFirst().map(String.init)
      return words.contains(name) ? words.filter { $0.hasPrefix(name + ".") } : []
    }
  }

  private static func hostsFile() -> String {
    guard let file = fopen("/etc/hosts", "re") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 18)
    return String(decoding: bytes.prefix(fread(&bytes, 1, bytes.count, file)), as: UTF8.self)
  }

  /// The addresses of all interfaces, as texts.
  static func interfaceAddresses() -> [String] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var out: [String] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let address = entry.pointee.ifa_addr else { continue }
      let family = Int32(address.pointee.sa_family)
      guard family == AF_INET || family == AF_INET6 else { continue }
      let length = family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
      var text = [CChar](repeating: 0, count: 128)
      guard getnameinfo(address, socklen_t(length), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { continue }
      // An address of one link alone has its interface behind it, which no `Host` has.
      out.append(String(decoding: text.prefix { $0 != 0 && $0 != 37 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return out
  }
}
