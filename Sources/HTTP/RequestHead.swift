/// What the head of a request must be beside its lines (RFC 9112). A proxy in front that reads a head another way sees other requests than this
/// server: what two readers could take differently is refused, and the connection closed.
package enum RequestHead {
  /// How long the body is.
  package enum Framing: Equatable, Sendable {
    /// There is none.
    case none
    /// As long as the head says.
    case length(Int)
    /// In chunks.
    case chunked
    /// In a transfer coding that nobody here knows.
    case unknownCoding
  }

  /// The framing of a body; nil for a head that is malformed.
  package static func framing(method: String, version: String, headers: Headers) -> Framing? {
    guard Headers.isToken(method), headers.allSatisfy({ Headers.isWritable($0.name, $0.value) }) else { return nil }
    let hosts = headers.all("Host")
    guard hosts.count <= 1, hosts.allSatisfy(isHost), !hosts.isEmpty || version == "HTTP/1.0" else { return nil }
    let codings = headers.all("Transfer-Encoding")
    let lengths = headers.all("Content-Length")
    // Two lengths, or a length and chunks, or chunks from a time that knew none (RFC 9112, 6.1 and 6.3).
    guard lengths.count <= 1, codings.count <= 1, codings.isEmpty || lengths.isEmpty && version != "HTTP/1.0" else { return nil }
    if let coding = codings.first { return Headers.same(coding, "chunked") ? .chunked : .unknownCoding }
    guard let length = lengths.first else { return Framing.none }
    guard !length.isEmpty, length.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    let count = Int(length) ?? .max
    return count == 0 ? Framing.none : .length(count)
  }

  /// A host with or without port (RFC 3986, 3.2.2), or nothing.
  private static func isHost(_ text: String) -> Bool {
    text.utf8.allSatisfy { $0 > 32 && $0 < 127 && !notInHosts.contains($0) }
  }

  private static let notInHosts = Array("/?#@\\,\"<>^`{|}".utf8)
}
