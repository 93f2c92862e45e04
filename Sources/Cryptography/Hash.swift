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

  var evp: OpaquePointer {
    switch self {
    case .sha1: EVP_sha1()
    case .sha256: EVP_sha256()
    case .sha384: EVP_sha384()
    case .sha512: EVP_sha512()
    }
  }
}

/// Digests of what is in memory or in a file.
public enum Hash {
  /// SHA-256, 32 bytes.
  public static func sha256(_ bytes: [UInt8]) -> [UInt8] { digest(bytes[...], .sha256) }

  /// SHA-512, 64 bytes.
  public static func sha512(_ bytes: [UInt8]) -> [UInt8] { digest(bytes[...], .sha512) }

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
