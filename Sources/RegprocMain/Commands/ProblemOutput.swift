import System
import JSON
import YAML

/// Problems of a file for programs: JSON lines, or SARIF for code review tools.
enum ProblemOutput {
  /// One object a line.
  static func lines(_ problems: [Problem]) -> [UInt8] {
    problems.flatMap { json($0).encoded() + [10] }
  }

  private static func json(_ problem: Problem) -> JSONValue {
    [
      "severity": .string(problem.severity.rawValue), "code": .string(problem.code),
      "message": .string(problem.message),
      "file": .string(problem.file), "line": JSONValue(problem.position.line),
      "column": JSONValue(problem.position.column),
      "length": JSONValue(problem.length), "suggestion": JSONValue(problem.suggestion),
      "example": JSONValue(problem.example),
    ]
  }

  /// A SARIF 2.1.0 log (docs.oasis-open.org/sarif/sarif/v2.1.0) of one run.
  static func sarif(_ problems: [Problem]) -> [UInt8] {
    var rules: [String] = []
    for problem in problems where !rules.contains(problem.code) { rules.append(problem.code) }
    let results = problems.map { problem -> JSONValue in
      var text = problem.message
      if let suggestion = problem.suggestion { text += "; " + suggestion }
      if let example = problem.example { text += "; example: " + example }
      return [
        "ruleId": .string(problem.code), "ruleIndex": JSONValue(rules.firstIndex(of: problem.code) ?? 0),
        "level": .string(problem.severity.rawValue), "message": ["text": .string(text)],
        "locations": [
          [
            "physicalLocation": [
              "artifactLocation": ["uri": .string(uri(problem.file))],
              "region": [
                "startLine": JSONValue(problem.position.line), "startColumn": JSONValue(problem.position.column),
                "endColumn": JSONValue(problem.position.column + problem.length),
              ],
            ]
          ]
        ],
      ]
    }
    let log: JSONValue = [
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
      "runs": [
        [
          "tool": [
            "driver": [
              "name": "regproc routes check", "version": .string(Commands.versionNumber),
              "rules": .array(rules.map { ["id": .string($0)] }),
            ]
          ],
          // Columns are counted in Unicode scalars.
          "columnKind": "unicodeCodePoints", "results": .array(results),
        ]
      ],
    ]
    return log.encoded(pretty: true) + [10]
  }

  /// A path as a URI reference (RFC 3986).
  private static func uri(_ path: String) -> String {
    var out = path.hasPrefix("/") ? "file://" : ""
    for byte in path.utf8 {
      switch byte {
      case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"),
        UInt8(ascii: "/"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let hex = String(byte, radix: 16, uppercase: true)
        out += "%" + (hex.count == 1 ? "0" : "") + hex
      }
    }
    return out
  }
}
