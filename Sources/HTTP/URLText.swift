import CCurl

/// Texts for URLs.
public enum URLText {
  /// Percent-encodes everything but unreserved characters (RFC 3986, 2.3): good for one path segment, one name or one value.
  public static func encode(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
        out.append(byte)
      default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Resolves `%XX`, and `+` as a blank; nil for a broken escape, a NUL or bytes that are not UTF-8.
  public static func decode(_ text: String) -> String? { Target.decode(Array(text.utf8)[...], plusIsSpace: true) }

  /// `name=value&...`, encoded: a query, or an `application/x-www-form-urlencoded` body.
  public static func query(_ pairs: [(name: String, value: String)]) -> String {
    pairs.map { "\(encode($0.name))=\(encode($0.value))" }.joined(separator: "&")
  }

  /// Scheme, host, port and path of a URL: what an error may show. Nil if it is no http or https URL, or holds a user's name.
  static func target(_ url: String) -> String? {
    guard let handle = curl_url() else { return nil }
    defer { curl_url_cleanup(handle) }
    guard curl_url_set(handle, CURLUPART_URL, url, UInt32(CURLU_DISALLOW_USER)) == CURLUE_OK else { return nil }
    func part(_ part: CURLUPart) -> String? {
      var text: UnsafeMutablePointer<CChar>?
      guard curl_url_get(handle, part, &text, 0) == CURLUE_OK, let text else { return nil }
      defer { curl_free(text) }
      return String(cString: text)
    }
    guard let scheme = part(CURLUPART_SCHEME), scheme == "http" || scheme == "https", let host = part(CURLUPART_HOST)
    else {
      return nil
    }
    return "\(scheme)://\(host)\(part(CURLUPART_PORT).map { ":" + $0 } ?? "")\(part(CURLUPART_PATH) ?? "/")"
  }
}
