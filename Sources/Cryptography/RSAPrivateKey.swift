import COpenSSL

/// A private RSA key of at least 2048 bits: decrypts with OAEP and signs.
///
/// `@unchecked Sendable`: the EVP_PKEY is never changed after `init`, is reference counted with atomic operations, and libcrypto 3
/// guards its inner caches and its blinding with locks, so threads may use it at once. Every call makes its own context.
/// libcrypto wipes the key's numbers when the last reference goes.
public final class RSAPrivateKey: @unchecked Sendable, CustomStringConvertible {
  let key: OpaquePointer
  /// The public half.
  public let publicKey: RSAPublicKey

  private init(owning key: OpaquePointer) throws {
    do {
      try checkRSA(key)
      publicKey = try RSAPublicKey(spki: der { i2d_PUBKEY(key, $0) })
      self.key = key
    } catch {
      EVP_PKEY_free(key)
      throw error
    }
  }

  /// Reads a private key in PEM: PKCS#8 (`PRIVATE KEY`), or the older `RSA PRIVATE KEY`, without a password.
  /// - Throws: `CryptographyError` `badKey`, `keyTooSmall`.
  public convenience init(pem: String) throws {
    var text = Array(pem.utf8)
    defer { text.cleanse() }
    try self.init(pem: text)
  }

  /// Reads a private key in PEM from bytes, which the caller wipes.
  /// - Throws: `CryptographyError` `badKey`, `keyTooSmall`.
  public convenience init(pem text: [UInt8]) throws {
    let key = try withReadBIO(text) { PEM_read_bio_PrivateKey($0, nil, noPassword, nil) }
    guard let key else { throw CryptographyError.openSSL(.badKey, "no private key in PEM") }
    try self.init(owning: key)
  }

  /// Makes a new key. It takes a tenth of a second (2048 bits) to seconds (4096): not for the cooperative pool.
  /// - Throws: `CryptographyError` `unsupported` for a size that is not 2048 to 8192.
  public static func generate(bits: Int = 2048) throws -> RSAPrivateKey {
    guard (2048...8192).contains(bits) else { throw CryptographyError(.unsupported, "RSA keys of \(bits) bits") }
    guard let key = regproc_rsa_generate(UInt32(bits)) else {
      throw CryptographyError.openSSL(.internal, "no key could be made")
    }
    return try RSAPrivateKey(owning: key)
  }

  deinit { EVP_PKEY_free(key) }

  /// Bytes of the modulus: 256 for 2048 bits.
  public var modulusSize: Int { publicKey.modulusSize }

  /// Says nothing of the key but its size.
  public var description: String { "RSA private key, \(modulusSize * 8) bits" }

  /// The key in PEM, PKCS#8, not encrypted: for a file that only its owner may read.
  /// - Throws: `CryptographyError` `internal`.
  public func pem() throws -> String {
    var text = try pemBytes()
    defer { text.cleanse() }
    return String(decoding: text, as: UTF8.self)
  }

  /// The key in PEM as bytes, which the caller wipes: a text could not be.
  /// - Throws: `CryptographyError` `internal`.
  public func pemBytes() throws -> [UInt8] {
    try withMemoryBIO { bio in
      guard PEM_write_bio_PKCS8PrivateKey(bio, key, nil, nil, 0, nil, nil) == 1 else {
        throw CryptographyError.openSSL(.internal, "the key has no PEM form")
      }
      return bytes(of: bio)
    }
  }

  /// A secret of 32 bytes for another purpose than the key's own: HMAC-SHA-256 of the purpose's label under the key's PKCS #8 form in PEM. It
  /// leads neither back to the key nor to the secret of another label.
  /// - Throws: `CryptographyError` `internal`.
  public func derivedSecret(label: String) throws -> [UInt8] {
    var text = try pemBytes()
    defer { text.cleanse() }
    return HMAC.code(Array(label.utf8), key: text)
  }

  /// Decrypts what `RSAPublicKey.encrypt` made.
  /// - Throws: `CryptographyError` `decryptionFailed`.
  public func decrypt(_ ciphertext: [UInt8], mgf1: HashAlgorithm = .sha256) throws -> [UInt8] {
    let context = try oaep(key, mgf1: mgf1, EVP_PKEY_decrypt_init)
    defer { EVP_PKEY_CTX_free(context) }
    var out = [UInt8](repeating: 0, count: modulusSize)
    defer { out.cleanse() }
    var count = out.count
    guard ciphertext.count == modulusSize,
      EVP_PKEY_decrypt(context, &out, &count, ciphertext, ciphertext.count) == 1
    else {
      ERR_clear_error()
      throw CryptographyError(.decryptionFailed, "not encrypted for this key")
    }
    return Array(out[..<count])
  }

  /// Signs a message by its digest, for messages that come piece by piece. The signature is that of `sign`.
  /// - Throws: `CryptographyError` `unsupported` for SHA-1 or a digest of another size.
  public func sign(digest: [UInt8], _ algorithm: HashAlgorithm = .sha256) throws -> [UInt8] {
    guard algorithm != .sha1, digest.count == algorithm.size else {
      throw CryptographyError(.unsupported, "signatures with SHA-1, or of a digest of another size")
    }
    let context = try pkcs1(key, algorithm, EVP_PKEY_sign_init)
    defer { EVP_PKEY_CTX_free(context) }
    var out = [UInt8](repeating: 0, count: modulusSize)
    var count = out.count
    guard EVP_PKEY_sign(context, &out, &count, digest, digest.count) == 1 else {
      throw CryptographyError.openSSL(.internal, "signing failed")
    }
    out.removeLast(out.count - count)
    return out
  }

  /// Signs a message with RSASSA-PKCS1-v1_5 (RFC 8017).
  /// - Throws: `CryptographyError` `unsupported` for SHA-1.
  public func sign(_ message: [UInt8], _ algorithm: HashAlgorithm = .sha256) throws -> [UInt8] {
    guard algorithm != .sha1 else { throw CryptographyError(.unsupported, "signatures with SHA-1") }
    guard let context = EVP_MD_CTX_new() else { throw CryptographyError.openSSL(.internal, "no memory") }
    defer { EVP_MD_CTX_free(context) }
    var out = [UInt8](repeating: 0, count: modulusSize)
    var count = out.count
    guard EVP_DigestSignInit(context, nil, algorithm.evp, nil, key) == 1,
      EVP_DigestSign(context, &out, &count, message, message.count) == 1
    else { throw CryptographyError.openSSL(.internal, "signing failed") }
    out.removeLast(out.count - count)
    return out
  }
}
