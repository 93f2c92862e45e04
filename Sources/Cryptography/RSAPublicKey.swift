import COpenSSL

/// A public RSA key of at least 2048 bits: encrypts with OAEP and verifies signatures.
///
/// `@unchecked Sendable`: the EVP_PKEY is never changed after `init`, is reference counted with atomic operations, and libcrypto 3
/// guards its inner caches with locks, so threads may use it at once. Every call makes its own context.
public final class RSAPublicKey: @unchecked Sendable {
  let key: OpaquePointer

  /// Takes over the caller's reference.
  init(owning key: OpaquePointer) throws {
    self.key = key
    try checkRSA(key)
  }

  /// Reads an X.509 SubjectPublicKeyInfo in DER, as MOSIP passes public keys
  /// (docs/upstream/packet-and-crypto.md#18-signing-and-verifying-at-the-key-manager).
  /// - Throws: `CryptographyError` `badKey`.
  public convenience init(spki: [UInt8]) throws {
    let key = spki.withUnsafeBufferPointer { bytes -> OpaquePointer? in
      var at = bytes.baseAddress
      guard let key = d2i_PUBKEY(nil, &at, bytes.count) else { return nil }
      guard at == bytes.baseAddress.map({ $0 + bytes.count }) else {
        EVP_PKEY_free(key)
        return nil
      }
      return key
    }
    guard let key else { throw CryptographyError.openSSL(.badKey, "no public key in DER") }
    try self.init(owning: key)
  }

  /// Reads a `PUBLIC KEY` in PEM.
  /// - Throws: `CryptographyError` `badKey`.
  public convenience init(pem: String) throws {
    let key = try withReadBIO(Array(pem.utf8)) { PEM_read_bio_PUBKEY($0, nil, noPassword, nil) }
    guard let key else { throw CryptographyError.openSSL(.badKey, "no public key in PEM") }
    try self.init(owning: key)
  }

  /// Makes a key of its numbers, big-endian, as a JWK has them in `n` and `e` (RFC 7518, 6.3.1).
  /// - Throws: `CryptographyError` `badKey`.
  public convenience init(modulus: [UInt8], exponent: [UInt8]) throws {
    let n = BN_bin2bn(modulus, Int32(clamping: modulus.count), nil)
    let e = BN_bin2bn(exponent, Int32(clamping: exponent.count), nil)
    let builder = OSSL_PARAM_BLD_new()
    let context = EVP_PKEY_CTX_new_from_name(nil, "RSA", nil)
    defer {
      BN_free(n)
      BN_free(e)
      OSSL_PARAM_BLD_free(builder)
      EVP_PKEY_CTX_free(context)
    }
    var key: OpaquePointer?
    guard regproc_push_rsa_numbers(builder, n, e) == 1,
      let parameters = OSSL_PARAM_BLD_to_param(builder)
    else { throw CryptographyError.openSSL(.badKey, "not the numbers of an RSA key") }
    defer { OSSL_PARAM_free(parameters) }
    guard EVP_PKEY_fromdata_init(context) == 1,
      EVP_PKEY_fromdata(context, &key, regproc_pkey_public, parameters) == 1, let key
    else { throw CryptographyError.openSSL(.badKey, "not the numbers of an RSA key") }
    try self.init(owning: key)
  }

  deinit { EVP_PKEY_free(key) }

  /// Bytes of the modulus, which is also the length of a ciphertext and of a signature: 256 for 2048 bits.
  public var modulusSize: Int { Int(EVP_PKEY_get_size(key)) }

  /// The X.509 SubjectPublicKeyInfo in DER.
  public var spki: [UInt8] { (try? der { i2d_PUBKEY(key, $0) }) ?? [] }

  /// The key as `PUBLIC KEY` in PEM.
  public var pem: String {
    let text = try? withMemoryBIO { bio in PEM_write_bio_PUBKEY(bio, key) == 1 ? bytes(of: bio) : [] }
    return String(decoding: text ?? [], as: UTF8.self)
  }

  /// Encrypts a short text, such as an AES key, with OAEP: SHA-256, an empty label, and MGF1 with the given hash (SHA-256
  /// everywhere in MOSIP but for its Android client, docs/upstream/packet-and-crypto.md#31-the-ver_r2-blob).
  /// - Throws: `CryptographyError` `unsupported` if the text is too long for the key.
  public func encrypt(_ plaintext: [UInt8], mgf1: HashAlgorithm = .sha256) throws -> [UInt8] {
    guard plaintext.count <= modulusSize - 66 else {
      throw CryptographyError(.unsupported, "too long for one RSA block")
    }
    let context = try oaep(key, mgf1: mgf1, EVP_PKEY_encrypt_init)
    defer { EVP_PKEY_CTX_free(context) }
    var out = [UInt8](repeating: 0, count: modulusSize)
    var count = out.count
    guard EVP_PKEY_encrypt(context, &out, &count, plaintext, plaintext.count) == 1 else {
      throw CryptographyError.openSSL(.internal, "RSA encryption failed")
    }
    out.removeLast(out.count - count)
    return out
  }

  /// Whether a signature (RSASSA-PKCS1-v1_5, RFC 8017) belongs to a message.
  public func isValid(_ signature: [UInt8], of message: [UInt8], _ algorithm: HashAlgorithm = .sha256) -> Bool {
    guard algorithm != .sha1, signature.count == modulusSize, let context = EVP_MD_CTX_new() else { return false }
    defer {
      EVP_MD_CTX_free(context)
      ERR_clear_error()
    }
    return EVP_DigestVerifyInit(context, nil, algorithm.evp, nil, key) == 1
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }
}

extension RSAPublicKey {
  /// Whether a signature (RSASSA-PKCS1-v1_5) belongs to the message of a digest.
  public func isValid(_ signature: [UInt8], ofDigest digest: [UInt8], _ algorithm: HashAlgorithm = .sha256) -> Bool {
    guard algorithm != .sha1, digest.count == algorithm.size, signature.count == modulusSize,
      let context = try? pkcs1(key, algorithm, EVP_PKEY_verify_init)
    else { return false }
    defer {
      EVP_PKEY_CTX_free(context)
      ERR_clear_error()
    }
    return EVP_PKEY_verify(context, signature, signature.count, digest, digest.count) == 1
  }
}

/// A context for RSASSA-PKCS1-v1_5; the caller frees it.
func pkcs1(
  _ key: OpaquePointer, _ algorithm: HashAlgorithm, _ start: (OpaquePointer?) -> Int32
) throws -> OpaquePointer {
  guard let context = EVP_PKEY_CTX_new(key, nil) else { throw CryptographyError.openSSL(.internal, "no memory") }
  guard start(context) == 1, EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1,
    EVP_PKEY_CTX_set_signature_md(context, algorithm.evp) == 1
  else {
    EVP_PKEY_CTX_free(context)
    throw CryptographyError.openSSL(.internal, "RSA signatures cannot be set up")
  }
  return context
}

/// Frees nothing: the caller's object owns the key.
func checkRSA(_ key: OpaquePointer) throws {
  guard EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA else { throw CryptographyError(.badKey, "not an RSA key") }
  guard EVP_PKEY_get_bits(key) >= 2048 else {
    throw CryptographyError(.keyTooSmall, "an RSA key of \(EVP_PKEY_get_bits(key)) bits; at least 2048 are asked for")
  }
}

/// A context for OAEP with SHA-256; the caller frees it.
func oaep(
  _ key: OpaquePointer, mgf1: HashAlgorithm, _ start: (OpaquePointer?) -> Int32
) throws -> OpaquePointer {
  guard let context = EVP_PKEY_CTX_new(key, nil) else { throw CryptographyError.openSSL(.internal, "no memory") }
  guard start(context) == 1, EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1,
    EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1,
    EVP_PKEY_CTX_set_rsa_mgf1_md(context, mgf1.evp) == 1
  else {
    EVP_PKEY_CTX_free(context)
    throw CryptographyError.openSSL(.internal, "RSA-OAEP cannot be set up")
  }
  return context
}

/// A password callback that has none, so that libcrypto never asks on the terminal.
func noPassword(
  _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int32, _ writing: Int32, _ data: UnsafeMutableRawPointer?
) -> Int32 { 0 }
