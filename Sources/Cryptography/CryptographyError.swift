import COpenSSL
import System

/// What went wrong in a cryptographic operation. Its text never holds key material, plaintext or signatures.
public struct CryptographyError: PlainError, Sendable, Hashable {
  /// The kind of a failure.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    /// The word of the kind, e.g. `badKey`.
    public let description: String

    /// A key that cannot be read or is of the wrong kind.
    public static let badKey = Code(description: "badKey")
    /// An RSA key of less than 2048 bits.
    public static let keyTooSmall = Code(description: "keyTooSmall")
    /// A certificate that cannot be read.
    public static let badCertificate = Code(description: "badCertificate")
    /// A ciphertext that is not what the key and the additional data would give. Deliberately not told apart any further.
    public static let decryptionFailed = Code(description: "decryptionFailed")
    /// A signature that does not fit what it is said to sign, or a signed text that has no readable form.
    public static let badSignature = Code(description: "badSignature")
    /// A parameter this module does not offer: a nonce length, a key size.
    public static let unsupported = Code(description: "unsupported")
    /// A file that cannot be read.
    public static let fileNotReadable = Code(description: "fileNotReadable")
    /// libcrypto refused something that should work.
    public static let `internal` = Code(description: "internal")
  }

  /// The kind.
  public let code: Code
  /// What was wrong, for a person.
  public let message: String
  /// Where in the source the error was made.
  public let file: String
  /// The line in `file`.
  public let line: Int

  /// False: the same input fails the same way again.
  public var isRetriable: Bool { false }

  /// Kind and text.
  public var description: String { message }

  init(_ code: Code, _ message: String, file: String = #fileID, line: Int = #line) {
    self.code = code
    self.message = message
    self.file = file
    self.line = line
  }

  /// An error with the reason libcrypto gives (its own fixed words), whose error queue is emptied.
  static func openSSL(
    _ code: Code, _ message: String, file: String = #fileID, line: Int = #line
  ) -> CryptographyError {
    let number = ERR_peek_last_error()
    let reason = number == 0 ? nil : ERR_reason_error_string(number).map { String(cString: $0) }
    ERR_clear_error()
    return CryptographyError(code, message + (reason.map { " (\($0))" } ?? ""), file: file, line: line)
  }
}
