import COpenSSL

extension [UInt8] {
  /// Overwrites the bytes with zeros in a way the compiler does not remove. Call it on the only copy: an array that shares its
  /// storage with another would be copied first, and the other would keep the secret.
  public mutating func cleanse() {
    withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
  }
}

/// Whether two byte strings are equal, in a time that does not depend on where they differ (their lengths are no secret).
public func constantTimeEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  guard a.count == b.count else { return false }
  return a.withUnsafeBytes { a in b.withUnsafeBytes { b in CRYPTO_memcmp(a.baseAddress, b.baseAddress, a.count) == 0 } }
}

/// Runs a closure with a memory BIO that is wiped and freed afterwards.
func withMemoryBIO<T>(_ body: (OpaquePointer) throws -> T) throws -> T {
  guard let bio = BIO_new(BIO_s_secmem()) else { throw CryptographyError.openSSL(.internal, "no memory") }
  defer { BIO_free(bio) }
  return try body(bio)
}

/// Runs a closure with a BIO that reads the given bytes in place.
func withReadBIO<T>(_ bytes: [UInt8], _ body: (OpaquePointer) throws -> T) throws -> T {
  try bytes.withUnsafeBytes { raw in
    guard let bio = BIO_new_mem_buf(raw.baseAddress, Int32(clamping: raw.count)) else {
      throw CryptographyError.openSSL(.internal, "no memory")
    }
    defer { BIO_free(bio) }
    return try body(bio)
  }
}

/// The bytes a memory BIO has taken.
func bytes(of bio: OpaquePointer) -> [UInt8] {
  var data: UnsafeMutablePointer<CChar>?
  let count = regproc_bio_data(bio, &data)
  guard let data, count > 0 else { return [] }
  return [UInt8](UnsafeRawBufferPointer(start: data, count: count))
}

/// The DER of an object by one of libcrypto's `i2d_` functions, which allocate what they return.
func der(_ encode: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>) -> Int32) throws -> [UInt8] {
  var out: UnsafeMutablePointer<UInt8>?
  let count = encode(&out)
  guard count > 0, let out else { throw CryptographyError.openSSL(.internal, "no DER form") }
  defer { regproc_openssl_free(out) }
  return [UInt8](UnsafeBufferPointer(start: out, count: Int(count)))
}
