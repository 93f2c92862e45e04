import Foundation
import Testing

/// A target declares what its files import, and nothing more.
@Suite(.timeLimit(.minutes(10))) struct ImportTests {
  private static let project = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// What `scripts/check-imports` says of a package, and its exit code.
  private static func check(_ package: URL) throws -> (lines: [String], code: Int32) {
    let (process, output) = (Process(), Pipe())
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [
      "python3", project.appending(path: "scripts/check-imports").path, "--package", package.path,
    ]
    process.standardOutput = output
    try process.run()
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    return (text.split(separator: "\n").map(String.init), process.terminationStatus)
  }

  @Test func `each target of Package.swift declares exactly what its files import`() throws {
    let (lines, code) = try Self.check(Self.project)
    #expect(lines.isEmpty, "\(lines.joined(separator: "\n"))")
    #expect(code == 0)
  }

  @Test func `an import that is not declared is told, and so is a declaration that nobody needs`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "imports-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = [
      "Package.swift": """
      func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
        .target(name: name, dependencies: dependencies)
      }
      let package = Package(
        name: "made-up",
        targets: [
          library("Below"), library("Luck"),
          // library("Gone", ["Below"]),
          library("Above", ["Below", "Unused"]),
          .executableTarget(name: "a-program", dependencies: ["Above"]),
          .testTarget(name: "AboveTests", dependencies: ["Above"], path: "Tests/Checks"),
        ])
      """,
      "Sources/Below/Below.swift": "import Foundation\n",
      "Sources/Luck/Luck.swift": "let luck = 1\n",
      "Sources/Above/Above.swift":
        "import Below\npublic import struct Luck.Coin\nlet text = \"\"\"\n  import Elsewhere\n  \"\"\"\n",
      "Sources/a-program/main.swift": "import Above\nimport NIO\n",
      "Tests/Checks/Above.swift": "import Testing\n\n@testable import Above\n",
    ]
    for (path, text) in files {
      let file = folder.appending(path: path)
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let (lines, code) = try Self.check(folder)
    #expect(
      lines == [
        "Sources/Above/Above.swift:2: Above imports Luck, which it does not declare",
        "Package.swift: Above declares Unused, which none of its files imports",
        "Sources/a-program/main.swift:2: a_program imports NIO, which is no target and does not come with Swift",
      ])
    #expect(code == 1)
  }
}
