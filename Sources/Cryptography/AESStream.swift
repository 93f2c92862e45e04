import COpenSSL
import System

/// AES-256-GCM over pieces, for what is larger than memory should hold. One object does one message in one direction; its context,
/// key schedule included, is wiped by libcrypto when the object goes.
public final class AESGCMStream {
  private let context: OpaquePointer
  private let isEncrypting: Bool

  private init(key: [UInt8], nonce: [UInt8], aad: [UInt8], encrypting: Bool) throws {
    context = try AESGCM.context(key: key, nonce: nonce, encrypting: encrypting)
    isEncrypting = encrypting
    var written: Int32 = 0
    guard aad.isEmpty || EVP_CipherUpdate(context, nil, &written, aad, Int32(aad.count)) == 1 else {
      throw CryptographyError.openSSL(.internal, "AES-GCM cannot be set up")
    }
  }

  deinit { EVP_CIPHER_CTX_free(context) }

  /// A stream that encrypts.
  /// - Throws: as `AESGCM.seal`.
  public static func sealing(key: [UInt8], nonce: [UInt8], aad: [UInt8]) throws -> AESGCMStream {
    try AESGCMStream(key: key, nonce: nonce, aad: aad, encrypting: true)
  }

  /// A stream that decrypts. Nothing it gives may be believed or shown before `verify` has returned.
  /// - Throws: as `AESGCM.open`.
  public static func opening(key: [UInt8], nonce: [UInt8], aad: [UInt8]) throws -> AESGCMStream {
    try AESGCMStream(key: key, nonce: nonce, aad: aad, encrypting: false)
  }

  /// Works on the next bytes, at most 1 GiB; `output` has room for as many. Both may be the same memory.
  public func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws {
    guard input.count > 0 else { return }
    precondition(output.count >= input.count && input.count <= 1 << 30)
    var written: Int32 = 0
    guard
      EVP_CipherUpdate(
        context, output.baseAddress!.assumingMemoryBound(to: UInt8.self), &written,
        input.baseAddress!.assumingMemoryBound(to: UInt8.self), Int32(input.count)) == 1
    else { throw CryptographyError.openSSL(.internal, "AES-GCM failed") }
  }

  /// Ends an encryption: the tag.
  public func tag() throws -> [UInt8] {
    var tag = [UInt8](repeating: 0, count: AESGCM.tagSize)
    var written: Int32 = 0
    guard isEncrypting, EVP_CipherFinal_ex(context, &tag, &written) == 1,
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tag.count), &tag) == 1
    else { throw CryptographyError.openSSL(.internal, "AES-GCM failed") }
    return tag
  }

  /// Ends a decryption.
  /// - Throws: `CryptographyError` `decryptionFailed` unless the tag is that of all that came through.
  public func verify(tag: [UInt8]) throws {
    var tag = tag
    var rest = [UInt8](repeating: 0, count: AESGCM.tagSize)
    var written: Int32 = 0
    guard !isEncrypting, tag.count == AESGCM.tagSize,
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag) == 1,
      EVP_CipherFinal_ex(context, &rest, &written) == 1
    else {
      ERR_clear_error()
      throw CryptographyError(.decryptionFailed, "the ciphertext is not what its key, nonce and additional data give")
    }
  }
}

/// The plaintext of a verified AES-256-GCM ciphertext, decrypted where it is read: GCM is counter mode, so any place can be read
/// without those before it. The plaintext is never as a whole in memory or on a disk.
///
/// Only for a ciphertext whose tag has been verified and that nobody can have changed since.
public final class VerifiedGCMSource: ByteSource {
  private let base: any ByteSource
  private let key: WipedKey
  private let nonce: [UInt8]

  /// The plaintext of a source.
  /// - Parameters:
  ///   - ciphertext: without the tag.
  ///   - nonce: 12 bytes, for which alone the counter begins at 2 (NIST SP 800-38D, 7.1).
  public init(verified ciphertext: any ByteSource, key: [UInt8], nonce: [UInt8]) {
    precondition(key.count == AESGCM.keySize && nonce.count == 12)
    base = ciphertext
    self.key = WipedKey(key)
    self.nonce = nonce
  }

  /// The bytes of the plaintext, which are as many as the ciphertext has.
  public var count: Int { base.count }

  /// Reads and decrypts.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard buffer.count > 0 else { return }
    try base.read(at: offset, into: buffer)
    let counter = UInt32(truncatingIfNeeded: offset / 16 + 2)
    let block = nonce + (0..<4).map { UInt8(truncatingIfNeeded: counter >> UInt32(24 - 8 * $0)) }
    guard let context = EVP_CIPHER_CTX_new() else { throw CryptographyError.openSSL(.internal, "no memory") }
    defer { EVP_CIPHER_CTX_free(context) }
    var skipped = [UInt8](repeating: 0, count: 16)
    var written: Int32 = 0
    let bytes = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
    let isDone = key.withBytes { key in
      EVP_DecryptInit_ex(context, EVP_aes_256_ctr(), nil, key, block) == 1
        && (offset % 16 == 0 || EVP_DecryptUpdate(context, &skipped, &written, skipped, Int32(offset % 16)) == 1)
        && EVP_DecryptUpdate(context, bytes, &written, bytes, Int32(buffer.count)) == 1
    }
    guard isDone else { throw CryptographyError.openSSL(.internal, "AES-CTR failed") }
  }
}

/// A key that is overwritten when nobody holds it any more.
///
/// `@unchecked Sendable`: the memory is written in `init` and `deinit` only.
final class WipedKey: @unchecked Sendable {
  private let memory: UnsafeMutableRawBufferPointer

  init(_ key: [UInt8]) {
    memory = UnsafeMutableRawBufferPointer.allocate(byteCount: key.count, alignment: 16)
    memory.copyBytes(from: key)
  }

  deinit {
    OPENSSL_cleanse(memory.baseAddress, memory.count)
    memory.deallocate()
  }

  func withBytes<T>(_ body: (UnsafePointer<UInt8>) -> T) -> T {
    body(UnsafePointer(memory.baseAddress!.assumingMemoryBound(to: UInt8.self)))
  }
}
