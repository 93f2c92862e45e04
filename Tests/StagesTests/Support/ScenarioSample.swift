import JSON
import Testing

import Glibc

/// A made-up event or message of `Tests/Samples/scenarios`.
enum ScenarioSample {
  static func read(_ name: String, from file: String = #filePath) throws -> JSONValue {
    let root = file.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
    let opened = try #require(fopen("\(root)/Tests/Samples/scenarios/\(name).json", "r"), "there is no sample \(name)")
    defer { fclose(opened) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, opened)
    return try JSONValue.parse(Array(bytes[..<count]))
  }
}
