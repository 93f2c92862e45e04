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

  private let output: @Sendable ([UInt8]) -> Void
  private let ownLevel: Level?

  /// A log for one part of the program.
  public init(_ source: String) {
    self.source = source
    output = { line in _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) } }
    ownLevel = nil
  }

  /// A log whose lines go elsewhere, all of them and each with its line feed: for tests.
  public init(_ source: String, into output: @escaping @Sendable ([UInt8]) -> Void) {
    (self.source, self.output, ownLevel) = (source, output, .debug)
  }

  /// Writes a line. `fields` become members of the object beside `time`, `level`, `source` and `message`.
  public func write(_ level: Level, _ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, any LogField> = [:]) {
    guard level >= ownLevel ?? Self.level else { return }
    write(level, message(), fields.map { ($0.key, $0.value) })
  }

  /// The same with fields that were put together.
  public func write(_ level: Level, _ message: String, _ fields: [(String, any LogField)]) {
    guard level >= ownLevel ?? Self.level else { return }
    var line: [UInt8] = []
    line.reserveCapacity(256)
    line.append(contentsOf: "{\"time\":\"\(Instant.now.iso)\",\"level\":\"\(level)\",\"source\":".utf8)
    Self.quote(source, into: &line)
    line.append(contentsOf: ",\"message\":".utf8)
    Self.quote(message, into: &line)
    for (name, value) in fields {
      line.append(UInt8(ascii: ","))
      Self.quote(name, into: &line)
      line.append(UInt8(ascii: ":"))
      value.write(into: &line)
    }
    line = VisibleText.json(line)
    line.append(contentsOf: "}\n".utf8)
    output(line)
  }

  /// A line for the developer.
  public func debug(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, any LogField> = [:]) {
    write(.debug, message(), fields)
  }
  /// What an operator likes to know.
  public func info(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, any LogField> = [:]) {
    write(.info, message(), fields)
  }
  /// Something is not as it should be; the work goes on.
  public func warning(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, any LogField> = [:]) {
    write(.warning, message(), fields)
  }
  /// Something failed and a person should look.
  public func error(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, any LogField> = [:]) {
    write(.error, message(), fields)
  }

  fileprivate static func quote(_ text: String, into line: inout [UInt8]) {
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

/// A value of a line: a text, a number, or true or false, and so in the JSON.
public protocol LogField: Sendable {
  /// Writes it as JSON.
  func write(into line: inout [UInt8])
}

extension String: LogField {
  public func write(into line: inout [UInt8]) { Log.quote(self, into: &line) }
}

extension Int: LogField {
  public func write(into line: inout [UInt8]) { line.append(contentsOf: "\(self)".utf8) }
}

extension Int64: LogField {
  public func write(into line: inout [UInt8]) { line.append(contentsOf: "\(self)".utf8) }
}

extension Double: LogField {
  /// To a thousandth; JSON has no infinity.
  public func write(into line: inout [UInt8]) {
    guard isFinite, magnitude < 1e15 else { return Log.quote("\(self)", into: &line) }
    let rounded = (self * 1000).rounded() / 1000
    line.append(contentsOf: (Int(exactly: rounded).map { "\($0)" } ?? "\(rounded)").utf8)
  }
}

extension Bool: LogField {
  public func write(into line: inout [UInt8]) { line.append(contentsOf: "\(self)".utf8) }
}
