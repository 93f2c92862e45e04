import Postgres
import System

/// What an operator asks for when many shall be run again.
public struct ReplayRequest: Sendable {
  /// A RID, AID, work key or registration number, with the number of its line, or its place in the list.
  public struct Name: Sendable, Hashable {
    /// The line or place, from 1.
    public var line: Int
    /// What stands there.
    public var text: String
    /// A name.
    public init(line: Int, text: String) {
      self.line = line
      self.text = text
    }
  }

  /// Which ones.
  public enum What: Sendable {
    /// These.
    case names([Name])
    /// Those that have something in common.
    case selection(Selection)
  }

  /// Which ones.
  public var what: What
  /// The process that all names must be of; nil for any.
  public var process: String?
  /// The stage at which they begin; nil for where each one stopped.
  public var from: String?
  /// Also those that are in flight or completed.
  public var isForced: Bool
  /// At most so many a second; nil for as fast as the pipeline takes them.
  public var rate: Double?
  /// At most so many.
  public var limit: Int?
  /// Leave out names that cannot be used; else nothing is sent because of one.
  public var skipsBad: Bool
  /// A selection without any condition is meant so.
  public var meansEverything: Bool

  /// A request.
  public init(
    _ what: What, process: String? = nil, from: String? = nil, isForced: Bool = false, rate: Double? = nil, limit: Int? = nil,
    skipsBad: Bool = false, meansEverything: Bool = false
  ) {
    self.what = what
    self.process = process
    self.from = from
    self.isForced = isForced
    self.rate = rate
    self.limit = limit
    self.skipsBad = skipsBad
    self.meansEverything = meansEverything
  }

  /// The names of a file: one a line; empty lines and those that begin with # are none.
  public static func names(file: [UInt8]) -> [Name] {
    var out: [Name] = []
    for (place, line) in file.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
      // Also the carriage return of files from elsewhere.
      let blanks: Set<UInt8> = [9, 13, 32]
      let bare = line.drop { blanks.contains($0) }
      let end = bare.lastIndex { !blanks.contains($0) }.map { $0 + 1 } ?? bare.startIndex
      let text = String(decoding: bare[..<end], as: UTF8.self)
      if text.isEmpty || text.hasPrefix("#") { continue }
      out.append(Name(line: place + 1, text: text))
    }
    return out
  }

  /// A rate as options take it: `50/s`, `30/m`, or a number for each second; nil for a text that is none, and for 0.
  public static func rate(_ text: String) -> Double? {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard let first = parts.first, let number = Double(first), number > 0, number <= 100_000, parts.count <= 2 else { return nil }
    switch parts.count == 2 ? parts[1] : "s" {
    case "s": return number
    case "m": return number / 60
    case "h": return number / 3600
    default: return nil
    }
  }

  /// The selection as a person reads it in the list of jobs.
  var words: String {
    let what =
      switch what {
      case .names(let names): "\(names.count) by name"
      case .selection(let selection): selection.words
      }
    return String((what + (limit.map { ", at most \($0)" } ?? "")).prefix(2000))
  }
}

extension ReplayRequest.Name {
  /// Whether it can be a RID, a work key or a registration number at all.
  var isPlausible: Bool {
    (1...128).contains(text.utf8.count) && text.utf8.allSatisfy { (33...126).contains($0) }
  }
}

extension Selection {
  /// The RIDs that are meant, those that have moved last the longest ago first. A RID with several registrations comes several times.
  func rids(limit: Int?) -> Statement {
    let conditions = conditions()
    return Statement(
      """
      SELECT r.reg_id FROM regprc.registration AS r WHERE \(conditions.all) ORDER BY \(Self.moved), r.workflow_instance_id
      LIMIT $\(conditions.parameters.count + 1)
      """, conditions.parameters + [Value(limit)])
  }
}
