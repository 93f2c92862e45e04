import HTTP
import StageKit

/// An error document of S3; only its code is read.
package struct S3Error {
  /// Nil where it cannot be read: an error all the same.
  package let code: String?
  /// The most bytes that one has.
  package static let limit = 1 << 16

  /// Nil when the body is none.
  package init?(_ body: [UInt8]) {
    guard body.count <= Self.limit else { return nil }
    let text = String(decoding: body, as: UTF8.self)
    guard text.contains("<Error") else { return nil }
    code = XMLPieces.first("Code", in: text).flatMap { code in
      let isCode = code.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
      return isCode && code.utf8.count <= 64 ? code : nil
    }
  }
}

/// One page of a list of objects (`ListObjectsV2` with URL-encoded keys).
package struct S3Listing {
  package let keys: [String]
  /// Where the next page begins; nil for the last one.
  package let next: String?

  /// Nil when the body is none.
  package init?(_ body: [UInt8]) {
    // Bytes that are no UTF-8 would be read as keys that nobody has.
    guard let text = String(validating: body, as: UTF8.self), text.contains("<ListBucketResult"),
      text.contains("</ListBucketResult>"), let isCut = XMLPieces.first("IsTruncated", in: text)
    else { return nil }
    var keys: [String] = []
    for contents in XMLPieces.all("Contents", in: text) {
      guard let key = XMLPieces.first("Key", in: contents).flatMap(URLText.decode) else { return nil }
      keys.append(key)
    }
    // One that is not closed would be missing.
    guard Array(text.utf8).ranges(of: Array("<Contents>".utf8)).count == keys.count else { return nil }
    self.keys = keys
    if isCut == "true" {
      guard let token = XMLPieces.first("NextContinuationToken", in: text), !token.isEmpty else { return nil }
      next = token
    } else {
      next = nil
    }
  }
}

/// What an answer of S3 says of a request that was not refused.
package enum S3Outcome {
  case done
  case noKey
  case noBucket

  static let service = "object store"

  /// - Throws: `ServiceError` RPR-OBJ-001, 002 or 005.
  package init(_ answer: ClientResponse, _ operation: String) throws(ServiceError) {
    if (200..<300).contains(answer.status) {
      self = .done
      return
    }
    let code = S3Error(answer.body)?.code
    // An answer to HEAD has no body that would say what is missing.
    if answer.status == 404 {
      self = code == "NoSuchBucket" ? .noBucket : .noKey
      return
    }
    let words = "\(operation): status \(answer.status)" + (code.map { ", \($0)" } ?? "")
    if answer.status >= 500 || answer.status == 429 || code == "SlowDown" || code == "RequestTimeout" {
      throw ServiceError(.unavailable, service: Self.service, code: "RPR-OBJ-001", words)
    }
    if answer.status == 401 || answer.status == 403 {
      throw ServiceError(.refused, service: Self.service, code: "RPR-OBJ-005", words)
    }
    throw ServiceError(.refused, service: Self.service, code: "RPR-OBJ-002", words)
  }
}

/// The metadata of an object, which S3 answers as header fields.
package enum S3Metadata {
  /// What the name of a field begins with.
  static let prefix = "x-amz-meta-"

  /// Nil for an object without.
  package static func read(_ headers: Headers) -> [String: String]? {
    var out: [String: String] = [:]
    for (name, value) in headers {
      let lower = name.lowercased()
      if lower.hasPrefix(prefix) { out[String(lower.dropFirst(prefix.count))] = value }
    }
    return out.isEmpty ? nil : out
  }
}

/// The texts of elements in a flat XML document without attributes on them, as S3 writes its answers.
private enum XMLPieces {
  static func first(_ name: String, in text: String) -> String? { all(name, in: text, limit: 1).first.map(resolved) }

  static func all(_ name: String, in text: String, limit: Int = .max) -> [String] {
    let (open, close) = (Array("<\(name)>".utf8), Array("</\(name)>".utf8))
    let bytes = Array(text.utf8)
    var out: [String] = []
    var at = 0
    while out.count < limit, let start = find(open, in: bytes, from: at), let end = find(close, in: bytes, from: start + open.count)
    {
      out.append(String(decoding: bytes[(start + open.count)..<end], as: UTF8.self))
      at = end + close.count
    }
    return out
  }

  private static func find(_ pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    guard bytes.count >= pattern.count else { return nil }
    var at = start
    while at <= bytes.count - pattern.count {
      if bytes[at] == pattern[0], bytes[at..<at + pattern.count].elementsEqual(pattern) { return at }
      at += 1
    }
    return nil
  }

  /// The five entities that XML has by itself; URL-encoded keys and tokens need no others.
  private static func resolved(_ text: String) -> String {
    guard text.contains("&") else { return text }
    return text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"").replacing(
      "&apos;", with: "'"
    ).replacing("&#34;", with: "\"").replacing("&#39;", with: "'").replacing("&amp;", with: "&")
  }
}
