import JSON
import Registration
import StageKit
import Synchronization

/// The parts that a stage uses, as a rehearsal names them.
public enum RehearsedPart: String, Sendable, CaseIterable {
  case packets = "packet manager"
  case tags = "tags of packets"
  case registrations = "registration tables"
  case identities = "identity repository"
  case keys = "key manager"
  case envelopeKeys = "envelope keys"
  case credentials = "credential service"
  case hub = "WebSub hub"
  case objects = "object store"
  case audit = "audit trail"
  case rids = "RID generator"
  case authentication = "ID authentication"
  case preRegistration = "pre-registration"
  case notifier
  case tokens = "access tokens"
  case http = "HTTP"
  case store = "records of the stage"
  case pipeline
}

/// A call that a stage would have made. It shows no value of a person, no UIN and no token.
public struct RehearsedCall: Sendable, Equatable {
  /// What was asked.
  public var part: RehearsedPart
  /// The call, by its name in the service's protocol.
  public var name: String
  /// What it was about: names of members, kinds, counts.
  public var about: [String]
  /// Whether the stage went on with an answer that nobody gave.
  public var isMadeUp: Bool
}

/// A change of the stage's own records that would have been made.
public struct RehearsedWrite: Sendable, Equatable {
  /// `insert`, `put`, `add`, `delete`, `schedule` or `publish`.
  public var change: String
  /// The collection, the kind of work or the topic.
  public var place: String
  /// The key where it consists of the message's own names; otherwise a number that stands for it.
  public var key: String
  /// The members of what would have been written, without their values.
  public var members: [String]
}

/// Why a rehearsal could not go on to a verdict.
public struct RehearsalEnd: Error, Sendable, Equatable, CustomStringConvertible {
  /// `RPR-TRY-005`: what comes next depends on an answer that cannot be made up; `RPR-TRY-006`: a database is needed.
  public var code: String
  /// What was asked.
  public var part: RehearsedPart
  /// In a sentence.
  public var message: String
  public var description: String { "\(code): \(message)" }
}

/// Takes down what a rehearsed stage would have done, in safe words.
final class RehearsalNotes: Sendable {
  private struct State {
    var calls: [RehearsedCall] = []
    var writes: [RehearsedWrite] = []
    var tags: Set<String> = []
    var end: RehearsalEnd?
    var hidden: [String: Int] = [:]
  }
  private let state = Mutex(State())
  /// Parts that are out of reach because there is no database.
  private let needingDatabase: Set<RehearsedPart>
  /// Words that a key may show.
  private let words: [String]

  init(_ message: Message, needingDatabase: Set<RehearsedPart> = []) {
    self.needingDatabase = needingDatabase
    let own = [message.rid, message.workflowInstanceId, message.process, message.source].compactMap(\.self).filter { !$0.isEmpty }
    words = (own + SubPacketName.allCases.map(\.rawValue)).sorted { $0.utf8.count > $1.utf8.count }
  }

  var calls: [RehearsedCall] { state.withLock { $0.calls } }
  var writes: [RehearsedWrite] { state.withLock { $0.writes } }
  var tags: [String] { state.withLock { $0.tags.sorted() } }
  var end: RehearsalEnd? { state.withLock { $0.end } }

  /// Lets a read through.
  /// - Throws: `RehearsalEnd` when it needs a database and there is none.
  func reach(_ part: RehearsedPart) throws {
    guard needingDatabase.contains(part) else { return }
    throw ended(
      RehearsalEnd(
        code: "RPR-TRY-006", part: part,
        message: "a database is needed here (\(part.rawValue)), and there is none: "
          + "start the pipeline on this data folder, or name its database"))
  }

  /// Notes a call that is not made.
  func note(_ part: RehearsedPart, _ name: String, _ about: [String] = [], isMadeUp: Bool = false) {
    state.withLock { $0.calls.append(RehearsedCall(part: part, name: name, about: about, isMadeUp: isMadeUp)) }
  }

  /// Notes a call that is not made, whose answer nobody can make up.
  func refuse(_ part: RehearsedPart, _ name: String, _ about: [String] = []) -> RehearsalEnd {
    note(part, name, about)
    return ended(
      RehearsalEnd(
        code: "RPR-TRY-005", part: part,
        message: "what follows depends on the answer of `\(name)` (\(part.rawValue)), which was not asked"))
  }

  /// Ends where the stage reads what this very try would have made.
  func unknown(_ part: RehearsedPart, _ name: String) -> RehearsalEnd {
    ended(
      RehearsalEnd(
        code: "RPR-TRY-005", part: part,
        message: "`\(name)` (\(part.rawValue)) asks for what would only now have been made or changed"))
  }

  private func ended(_ end: RehearsalEnd) -> RehearsalEnd {
    state.withLock { if $0.end == nil { $0.end = end } }
    return end
  }

  func write(_ write: RehearsedWrite) { state.withLock { $0.writes.append(write) } }

  func tag(_ names: [String]) { state.withLock { $0.tags.formUnion(Self.names(names)) } }

  /// A key as anybody may see it: the same number for the same key where it is more than the message's own names.
  func shown(_ key: String) -> String {
    var rest = key
    for word in words { rest = rest.replacing(word, with: "") }
    if rest.utf8.allSatisfy({ "/_-:.".utf8.contains($0) }) { return key }
    return state.withLock { state in
      let number = state.hidden[key] ?? state.hidden.count + 1
      state.hidden[key] = number
      return "(hidden \(number))"
    }
  }

  /// The names of a document's members; its kind alone when it has none.
  static func members(_ document: JSONValue) -> [String] { document.object.map { names($0.map(\.key)) } ?? [] }

  /// Names as a program gives them; others are somebody's data and not shown.
  static func names(_ names: some Sequence<String>) -> [String] {
    names.map { isName($0) ? $0 : "(hidden)" }
  }

  private static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 64, isLetter(first) else { return false }
    return text.utf8.allSatisfy { isLetter($0) || (48...57).contains($0) || "_-.".utf8.contains($0) }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }
}
