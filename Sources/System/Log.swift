import Glibc
import Synchronization

/// The log: one JSON object a line on standard error, written by one `write(2)` each, so that lines of several threads never mix.
///
/// Nothing personal belongs here: no name, no UIN, no token, no key, no message body. A RID is allowed.
public struct Log: Sendable {
  /// How grave a line is.
  public enum Level: Int, Comparable, Sendable, CaseIterable {
    /// For the developer.
    case debug
    /// What an operator likes to know.
    case info
    /// Something is not as it should be; the work goes on.
    case warning
    /// Something failed and a person should look.
    case error

    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

    /// The level of a name such as `info`; nil for any other text.
    public init?(_ name: String) {
      guard let level = Self.allCases.first(where: { "\($0)" == name }) else { return nil }
      self = level
    }
  }

  private static let threshold = Atomic<Int>(Level.info.rawValue)

  /// Lines below this level are not written. For the whole process.
  public static var level: Level {
    get { Level(rawValue: threshold.load(ordering: .relaxed)) ?? .info }
    set { threshold.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// The part of the program that speaks, e.g. `packet-validator` or `kafka`.
  public let source: String

  /// A log for one part of the program.
  public init(_ source: String) { self.source = source }

  /// Writes a line. `fields` become members of the object beside `time`, `level`, `source` and `message`.
  public func write(_ level: Level, _ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
    guard level >= Self.level else { return }
    var line: [UInt8] = []
    line.reserveCapacity(256)
    line.append(contentsOf: "{\"time\":\"\(Instant.now.iso)\",\"level\":\"\(level)\",\"source\":".utf8)
    Self.quote(source, into: &line)
    line.append(contentsOf: ",\"message\":".utf8)
    Self.quote(message(), into: &line)
    for (name, value) in fields {
      line.append(UInt8(ascii: ","))
      Self.quote(name, into: &line)
      line.append(UInt8(ascii: ":"))
      Self.quote(value, into: &line)
    }
    line = VisibleText.json(line)
    line.append(contentsOf: "}\n".utf8)
    _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
  }

  /// A line for the developer.
  public func debug(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
    write(.debug, message(), fields)
  }
  /// What an operator likes to know.
  public func info(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
    write(.info, message(), fields)
  }
  /// Something is not as it should be; the work goes on.
  public func warning(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
    write(.warning, message(), fields)
  }
  /// Something failed and a person should look.
  public func error(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
    write(.error, message(), fields)
  }

  private static func quote(_ text: String, into line: inout [UInt8]) {
    line.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        line.append(UInt8(ascii: "\\"))
        line.append(byte)
      case 10: line.append(contentsOf: "\\n".utf8)
      case 0..<32: line.append(contentsOf: "\\u00\(Encoding.hex([byte]))".utf8)
      default: line.append(byte)
      }
    }
    line.append(UInt8(ascii: "\""))
  }
}
