import COpenSSL

/// AES-256 in Galois/Counter Mode with a 128-bit tag (NIST SP 800-38D). A nonce must never be used twice with one key: every
/// caller here makes a fresh key for each message.
public enum AESGCM {
  /// Bytes of a key.
  public static let keySize = 32
  /// Bytes of the tag behind the ciphertext.
  public static let tagSize = 16

  /// Ciphertext and tag. Nonces of 12 bytes are the rule; 16 is what MOSIP's key manager makes without a salt.
  /// - Throws: `CryptographyError` `badKey` (not 32 bytes), `unsupported` (an empty nonce).
  public static func seal(
    _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], aad: [UInt8] = []
  ) throws -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(plaintext.count + tagSize)
    try seal(plaintext, key: key, nonce: nonce, aad: aad, appendingTo: &out)
    return out
  }

  /// As `seal`, with ciphertext and tag written behind what `out` holds.
  public static func seal(
    _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], aad: [UInt8], appendingTo out: inout [UInt8]
  ) throws {
    let context = try context(key: key, nonce: nonce, encrypting: true)
    defer { EVP_CIPHER_CTX_free(context) }
    let start = out.count
    var written: Int32 = 0
    out.append(contentsOf: repeatElement(0, count: plaintext.count + tagSize))
    let ok = out.withUnsafeMutableBytes { out in
      let target = UnsafeMutableRawBufferPointer(rebasing: out[start..<start + plaintext.count])
      let tag = out.baseAddress! + start + plaintext.count
      return plaintext.withUnsafeBytes { pass(context, aad: aad, $0, target) }
        && EVP_EncryptFinal_ex(context, tag.assumingMemoryBound(to: UInt8.self), &written) == 1
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagSize), tag) == 1
    }
    guard ok else { throw CryptographyError.openSSL(.internal, "AES-GCM failed") }
  }

  /// The plaintext of ciphertext and tag.
  /// - Throws: `CryptographyError` `badKey`, `unsupported`, `decryptionFailed` (nothing of the plaintext is given away then).
  public static func open(
    _ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: [UInt8], aad: [UInt8] = []
  ) throws -> [UInt8] {
    guard sealed.count >= tagSize else { throw CryptographyError(.decryptionFailed, "too short for its tag") }
    let context = try context(key: key, nonce: nonce, encrypting: false)
    defer { EVP_CIPHER_CTX_free(context) }
    let size = sealed.count - tagSize
    var tag = Array(sealed.suffix(tagSize))
    var plaintext = [UInt8](repeating: 0, count: size)
    var rest = [UInt8](repeating: 0, count: tagSize)
    var written: Int32 = 0
    let ok = plaintext.withUnsafeMutableBytes { out in
      sealed.withUnsafeBytes { pass(context, aad: aad, UnsafeRawBufferPointer(rebasing: $0[..<size]), out) }
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagSize), &tag) == 1
        && EVP_DecryptFinal_ex(context, &rest, &written) == 1
    }
    guard ok else {
      plaintext.cleanse()
      ERR_clear_error()
      throw CryptographyError(.decryptionFailed, "the ciphertext is not what its key, nonce and additional data give")
    }
    return plaintext
  }

  /// The plaintext of ciphertext and tag.
  /// - Throws: as the other `open`.
  public static func open(_ sealed: [UInt8], key: [UInt8], nonce: [UInt8], aad: [UInt8] = []) throws -> [UInt8] {
    try open(sealed[...], key: key, nonce: nonce, aad: aad)
  }

  static func context(key: [UInt8], nonce: [UInt8], encrypting: Bool) throws -> OpaquePointer {
    guard key.count == keySize else { throw CryptographyError(.badKey, "an AES-256 key has 32 bytes") }
    guard (1...128).contains(nonce.count) else {
      throw CryptographyError(.unsupported, "nonce of \(nonce.count) bytes")
    }
    guard let context = EVP_CIPHER_CTX_new() else { throw CryptographyError.openSSL(.internal, "no memory") }
    let direction: Int32 = encrypting ? 1 : 0
    guard EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nil, nil, nil, direction) == 1,
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, Int32(nonce.count), nil) == 1,
      EVP_CipherInit_ex(context, nil, nil, key, nonce, direction) == 1
    else {
      EVP_CIPHER_CTX_free(context)
      throw CryptographyError.openSSL(.internal, "AES-GCM cannot be set up")
    }
    return context
  }

  /// libcrypto counts in `int`, so input of any size goes through in pieces.
  private static func pass(
    _ context: OpaquePointer, aad: [UInt8], _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
  ) -> Bool {
    var written: Int32 = 0
    if !aad.isEmpty, EVP_CipherUpdate(context, nil, &written, aad, Int32(aad.count)) != 1 { return false }
    var at = 0
    while at < input.count {
      let count = min(input.count - at, 1 << 30)
      let from = (input.baseAddress! + at).assumingMemoryBound(to: UInt8.self)
      let to = (output.baseAddress! + at).assumingMemoryBound(to: UInt8.self)
      guard EVP_CipherUpdate(context, to, &written, from, Int32(count)) == 1 else { return false }
      at += count
    }
    return true
  }
}
