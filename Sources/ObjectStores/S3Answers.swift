import HTTP
import StageKit
import XML

/// An error document of S3; only its code is read.
package struct S3Error {
  /// Nil where it cannot be read: an error all the same.
  package let code: String?
  /// The most bytes that one has.
  package static let limit = 1 << 16

  /// Nil when the body is none.
  package init?(_ body: [UInt8]) {
    guard body.count <= Self.limit else { return nil }
    guard let root = try? XMLReader.read(body, limits: S3Listing.limits) else {
      // One that is cut off says no less that there was an error.
      guard String(decoding: body, as: UTF8.self).contains("<Error") else { return nil }
      code = nil
      return
    }
    guard root.name == "Error" else { return nil }
    code = root.first("Code").flatMap { code in
      let isCode = code.text.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
      return isCode && code.text.utf8.count <= 64 ? code.text : nil
    }
  }
}

/// One page of a list of objects (`ListObjectsV2` with URL-encoded keys).
package struct S3Listing {
  package let keys: [String]
  /// Where the next page begins; nil for the last one.
  package let next: String?

  /// More than a page of a thousand keys has.
  static let limits = XMLLimits(bytes: 16 << 20, depth: 16, attributes: 16)

  /// Nil when the body is none.
  package init?(_ body: [UInt8]) {
    guard let root = try? XMLReader.read(body, limits: Self.limits), root.name == "ListBucketResult",
      let isCut = root.first("IsTruncated")?.trimmed
    else { return nil }
    var keys: [String] = []
    for contents in root.children where contents.name == "Contents" {
      guard let key = contents.first("Key").flatMap({ URLText.decode($0.text) }) else { return nil }
      keys.append(key)
    }
    self.keys = keys
    if isCut == "true" {
      guard let token = root.first("NextContinuationToken")?.text, !token.isEmpty else { return nil }
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
