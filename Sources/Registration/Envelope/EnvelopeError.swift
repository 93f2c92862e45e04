import System

/// Why an envelope or its JSON body was refused. Texts name places and sizes, never content.
public struct EnvelopeError: PlainError, Sendable, Hashable {
  /// The kind of a refusal.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    /// The word of the kind, e.g. `noHeader`.
    public let description: String

    /// The `VER_R2` at the beginning is absent: an older form, which this software does not read.
    public static let noHeader = Code(description: "noHeader")
    /// Shorter than an envelope for the key can be.
    public static let tooShort = Code(description: "tooShort")
    /// `#KEY_SPLITTER#` is not where the size of the key puts it.
    public static let noSplitter = Code(description: "noSplitter")
    /// Encrypted for another certificate than the one asked for.
    public static let otherRecipient = Code(description: "otherRecipient")
    /// Key, additional data, ciphertext or tag are not what the sender sealed; not told apart any further.
    public static let decryptionFailed = Code(description: "decryptionFailed")
    /// The signature is not one of the sender's over this content.
    public static let badSignature = Code(description: "badSignature")
    /// The JSON body lacks a field, or a field is of the wrong type or not base64.
    public static let badBody = Code(description: "badBody")
  }

  /// The kind.
  public let code: Code
  /// What was wrong, for a person.
  public let message: String
  /// Where in the source the error was made.
  public let file: String
  /// The line in `file`.
  public let line: Int

  /// False: the same bytes are refused again.
  public var isRetriable: Bool { false }

  /// Kind and text.
  public var description: String { "envelope: \(message)" }

  init(_ code: Code, _ message: String, file: String = #fileID, line: Int = #line) {
    self.code = code
    self.message = message
    self.file = file
    self.line = line
  }
}
