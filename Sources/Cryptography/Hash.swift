import COpenSSL
import Glibc

/// The hash functions of FIPS 180-4 that MOSIP and OpenCRVS use.
public enum HashAlgorithm: String, Sendable, Hashable, CaseIterable {
  /// Only for HMAC on an old WebSub hub and for MGF1 of Android clients; never for signatures.
  case sha1
  /// SHA-256.
  case sha256
  /// SHA-384.
  case sha384
  /// SHA-512.
  case sha512

  /// The bytes of a digest.
  public var size: Int {
    switch self {
    case .sha1: 20
    case .sha256: 32
    case .sha384: 48
    case .sha512: 64
    }
  }

  /// What libcrypto fetched once: with `EVP_sha256()` it searches its providers for each digest anew.
  private struct Fetched: @unchecked Sendable {
    // Safe to share: libcrypto's method objects never change and are made for all threads.
    let sha1 = fetch("SHA1")
    let sha256 = fetch("SHA256")
    let sha384 = fetch("SHA384")
    let sha512 = fetch("SHA512")

    private static func fetch(_ name: String) -> OpaquePointer {
      guard let method = EVP_MD_fetch(nil, name, nil) else { fatalError("libcrypto has no \(name)") }
      return method
    }
  }
  private static let fetched = Fetched()

  var evp: OpaquePointer {
    switch self {
    case .sha1: Self.fetched.sha1
    case .sha256: Self.fetched.sha256
    case .sha384: Self.fetched.sha384
    case .sha512: Self.fetched.sha512
    }
  }
}

/// Digests of what is in memory or in a file.
public enum Hash {
  /// SHA-256, 32 bytes.
  public static func sha256(_ bytes: [UInt8]) -> [UInt8] { digest(bytes[...], .sha256) }

  /// SHA-512, 64 bytes.
  public static func sha512(_ bytes: [UInt8]) -> [UInt8] { digest(bytes[...], .sha512) }

  /// SHA-256 of memory that stays where it is, without an array; its 32 bytes as big-endian numbers.
  public static func sha256(words bytes: UnsafeRawBufferPointer) -> (UInt64, UInt64, UInt64, UInt64) {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let done = withUnsafeMutableBytes(of: &words) {
      EVP_Digest(bytes.baseAddress, bytes.count, $0.baseAddress, nil, HashAlgorithm.sha256.evp, nil)
    }
    precondition(done == 1, "libcrypto could not digest")
    return (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
  }

  /// The digest of a piece of memory.
  public static func digest(_ bytes: ArraySlice<UInt8>, _ algorithm: HashAlgorithm) -> [UInt8] {
    var stream = HashStream(algorithm)
    stream.update(bytes)
    return stream.finish()
  }

  /// The digest of a file, read in pieces of 256 KiB. It blocks: call it from a thread of a `BlockingPool`.
  /// - Throws: `CryptographyError` `fileNotReadable`.
  public static func file(_ path: String, _ algorithm: HashAlgorithm = .sha256) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CryptographyError(.fileNotReadable, "the file cannot be opened") }
    defer { close(descriptor) }
    var stream = HashStream(algorithm)
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    while true {
      let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return stream.finish() }
      if count < 0 {
        if errno == EINTR { continue }
        throw CryptographyError(.fileNotReadable, "the file cannot be read to its end")
      }
      stream.update(buffer[..<count])
    }
  }
}

/// A digest that is built up piece by piece.
public struct HashStream: ~Copyable {
  private let context: OpaquePointer

  /// An empty digest.
  public init(_ algorithm: HashAlgorithm = .sha256) {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, algorithm.evp, nil) == 1 else {
      fatalError("libcrypto has no \(algorithm)")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Takes the next piece.
  public mutating func update(_ bytes: ArraySlice<UInt8>) {
    _ = bytes.withUnsafeBytes { EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
  }

  /// Takes the next piece.
  public mutating func update(_ bytes: [UInt8]) { update(bytes[...]) }

  /// Takes the next piece.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
  }

  /// The digest of all pieces.
  public consuming func finish() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { out, count in
      var size: UInt32 = 0
      EVP_DigestFinal_ex(context, out.baseAddress, &size)
      count = Int(size)
    }
  }
}

/// Keyed hashes (RFC 2104).
public enum HMAC {
  /// The code of a message under a key of any length.
  public static func code(_ message: [UInt8], key: [UInt8], _ algorithm: HashAlgorithm = .sha256) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { out, count in
      var size: UInt32 = 0
      // HMAC pads a key with zeros, so an empty key is the same as one zero byte, and libcrypto wants an address.
      let key = key.isEmpty ? [0] : key
      _ = COpenSSL.HMAC(algorithm.evp, key, Int32(key.count), message, message.count, out.baseAddress, &size)
      count = Int(size)
    }
  }

  /// Whether a code belongs to a message, compared in constant time.
  public static func isValid(
    _ code: [UInt8], of message: [UInt8], key: [UInt8], _ algorithm: HashAlgorithm = .sha256
  ) -> Bool {
    constantTimeEqual(code, self.code(message, key: key, algorithm))
  }
}
