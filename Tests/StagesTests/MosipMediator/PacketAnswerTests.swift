import Foundation
import Testing

@testable import Stages

@Suite("What MOSIP's packet endpoints answer", .timeLimit(.minutes(10)))
struct PacketAnswerTests {
  @Test
  func `has a meaning and a reason for each code, and what is not known is never final`() {
    #expect(Set(PacketAnswer.all.map(\.code)).count == PacketAnswer.all.count)
    #expect(PacketAnswer.all.allSatisfy { !$0.reason.isEmpty })
    for code in ["RPR-RGS-999", "KER-ATH-401", ""] { #expect(PacketAnswer.meaning(of: code) == .later) }
    let final = PacketAnswer.all.filter { $0.meaning == .final }.map(\.code)
    #expect(!final.contains("RPR-RGS-028") && final.contains("RPR-PKR-010"))
  }

  @Test
  func `is what the docs say`() throws {
    let project = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
    let page = try String(contentsOf: project.appending(path: "docs/scenarios.md"), encoding: .utf8)
    for answer in PacketAnswer.all {
      #expect(page.contains("| `\(answer.code)` | \(answer.meaning.rawValue) | \(answer.reason) |"), "\(answer.code)")
    }
  }
}
