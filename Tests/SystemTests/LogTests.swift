import Synchronization
import System
import Testing

/// The lines of the log.
@Suite(.timeLimit(.minutes(10))) struct LogTests {
  private final class Lines: Sendable {
    private let all = Mutex<[String]>([])
    var texts: [String] { all.withLock { $0 } }
    func add(_ bytes: [UInt8]) { all.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) } }
  }

  @Test func `numbers and truth values are so in the JSON and texts stay texts`() throws {
    let lines = Lines()
    Log("test", into: lines.add).info(
      "said",
      [
        "count": 5, "seconds": 2.5, "whole": 4.0, "isLast": true, "rid": "10001100010000120261201120000",
        "endless": Double.infinity,
      ])
    let line = try #require(lines.texts.first)
    #expect(
      line.hasSuffix(
        #""source":"test","message":"said","count":5,"seconds":2.5,"whole":4,"isLast":true,"rid":"10001100010000120261201120000","#
          + #""endless":"inf"}"# + "\n"), "\(line)")
  }

  @Test func `so many lines of a kind are written in a minute and the first one after them counts the others`() {
    let budget = LineBudget(lines: 3)
    let first = (0..<1000).map { budget.take("a", now: 100 + $0) }
    #expect(first[0] == .write(leftOut: 0, isLast: false) && first[2] == .write(leftOut: 0, isLast: true))
    #expect(first[3...].allSatisfy { $0 == .leaveOut })
    #expect(budget.take("b", now: 200) == .write(leftOut: 0, isLast: false), "another kind has lines of its own")
    #expect(budget.take("a", now: 100 + LineBudget.window) == .write(leftOut: 997, isLast: false))
    #expect(budget.take("a", now: 101 + LineBudget.window) == .write(leftOut: 0, isLast: false))
  }

  @Test func `an error of ours tells its text and any other one its type alone`() {
    struct Ours: PlainError { var description: String { "the file is not there" } }
    struct Foreign: Error, CustomStringConvertible { var description: String { "UIN 1234567890" } }
    #expect(ErrorText.of(Ours()) == "the file is not there")
    #expect(ErrorText.of(Foreign()) == "unexpected error of type Foreign")
  }
}
