import System

/// Why a packet could not be made or read. Texts name entries and fields, never their content.
public struct PacketError: PlainError, Sendable, Hashable {
  /// The kind of a failure.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    /// The word of the kind, e.g. `hostileZip`.
    public let description: String

    /// The encrypted form has no splitter where it must be, or is too short.
    public static let badEncryption = Code(description: "badEncryption")
    /// Encrypted for another key, or changed since.
    public static let decryptionFailed = Code(description: "decryptionFailed")
    /// Bytes that are no zip, or a zip whose parts contradict each other.
    public static let badZip = Code(description: "badZip")
    /// A zip with names, links or sizes that an honest sender never makes.
    public static let hostileZip = Code(description: "hostileZip")
    /// The container's entries are not those of one packet.
    public static let badContainer = Code(description: "badContainer")
    /// An entry that must be there is not, or cannot be read.
    public static let badEntry = Code(description: "badEntry")
    /// What was to be written cannot be a packet: no audits (KER-KPM-008), an unfit name.
    public static let badDraft = Code(description: "badDraft")
    /// The id schema cannot be read.
    public static let badSchema = Code(description: "badSchema")
    /// Signature, hash or metadata do not fit the content (KER-PUT-019).
    public static let notIntact = Code(description: "notIntact")
    /// No key is known for a refId or a machine.
    public static let unknownKey = Code(description: "unknownKey")
  }

  /// The kind.
  public let code: Code
  /// What was wrong, for a person.
  public let message: String
  /// Where in the source the error was made.
  public let file: String
  /// The line in `file`.
  public let line: Int

  /// False: the same bytes fail again.
  public var isRetriable: Bool { false }

  /// Kind and text.
  public var description: String { "packet: \(message)" }

  init(_ code: Code, _ message: String, file: String = #fileID, line: Int = #line) {
    self.code = code
    self.message = message
    self.file = file
    self.line = line
  }
}
