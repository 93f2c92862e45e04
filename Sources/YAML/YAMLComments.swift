import System

/// The comments and blank lines of a YAML text, each with the entry it stands at: libyaml throws them away.
struct YAMLComments {
  /// An entry of a mapping or an item of a list, by where it begins. An item that is a mapping begins where the mapping's
  /// first entry does.
  struct Entry: Hashable {
    let position: Position
    let isItem: Bool
  }

  private struct Comment {
    let line: Int
    let column: Int
    let text: String
  }

  /// Comments on lines of their own, above an entry; an empty text is a blank line.
  private(set) var leading: [Entry: [String]] = [:]
  /// Comments below the last entry of a list or mapping, by where that begins; an empty text is a blank line.
  private(set) var tail: [Position: [String]] = [:]
  /// The comment behind an entry: the outermost that has just ended, or else the last that began.
  private(set) var trailing: [Entry: String] = [:]
  /// Entries that a blank line stands before.
  private(set) var spaced: Set<Entry> = []
  /// Comments behind everything; an empty text is a blank line.
  private(set) var last: [String] = []

  private var open: ArraySlice<Comment> = []
  private var behind: ArraySlice<Comment> = []
  private var before: Entry?
  private var blanks: Set<Int> = []
  private var dashes: Dashes?

  init(leading: [Position: [String]], spaced: Set<Position>) {
    for (position, comments) in leading {
      for isItem in [true, false] { self.leading[Entry(position: position, isItem: isItem)] = comments }
    }
    for position in spaced {
      for isItem in [true, false] { self.spaced.insert(Entry(position: position, isItem: isItem)) }
    }
  }

  init(_ source: SourceText, _ root: YAMLNode) {
    var scalars: [(start: Position, end: Position)] = []
    var columns: [Int: Int] = [:]
    YAMLComments.scalars(root, &scalars)
    scalars.sort { $0.start < $1.start }
    var own: [Comment] = []
    var others: [Comment] = []
    var number = 1
    var next = 0
    while let line = source.line(number) {
      if let comment = YAMLComments.comment(line, number, scalars, &next) {
        let found = Comment(line: number, column: comment.column, text: comment.text)
        columns[number] = comment.column
        if comment.isAlone { own.append(found) } else { others.append(found) }
      } else if line.unicodeScalars.allSatisfy({ $0 == " " || $0 == "\t" }) {
        blanks.insert(number)
      }
      number += 1
    }
    open = own[...]
    behind = others[...]
    dashes = Dashes(source: source, comments: columns)
    attach(root, until: Int.max)
    giveBehind(until: Int.max)
    last = behind.map(\.text) + open.flatMap(lines)
  }

  private static func scalars(_ node: YAMLNode, _ found: inout [(start: Position, end: Position)]) {
    switch node.content {
    case .scalar: found.append((node.start, node.end))
    case .sequence(let nodes): for node in nodes { scalars(node, &found) }
    case .mapping(let entries):
      for entry in entries {
        found.append((entry.keyNode.start, entry.keyNode.end))
        scalars(entry.value, &found)
      }
    }
  }

  /// A comment begins with `#` at the start of a line or after a blank, outside of any scalar. `next` is the first scalar that
  /// does not end before.
  private static func comment(
    _ line: String, _ number: Int, _ scalars: [(start: Position, end: Position)], _ next: inout Int
  ) -> (column: Int, text: String, isAlone: Bool)? {
    var isAlone = true
    var before: Unicode.Scalar = " "
    var column = 0
    for scalar in line.unicodeScalars {
      column += 1
      if scalar == "#", before == " " || before == "\t" {
        let place = Position(line: number, column: column)
        while next < scalars.count, scalars[next].end <= place { next += 1 }
        if next == scalars.count || place < scalars[next].start {
          var text = String(String.UnicodeScalarView(line.unicodeScalars.dropFirst(column - 1)))
          while text.last == " " || text.last == "\t" || text.last == "\r" { text.removeLast() }
          return (column, text, isAlone)
        }
      }
      if scalar != " ", scalar != "\t" { isAlone = false }
      before = scalar
    }
    return nil
  }

  /// A comment below something, with the blank line before it.
  private func lines(_ comment: Comment) -> [String] {
    blanks.contains(comment.line - 1) ? ["", comment.text] : [comment.text]
  }

  /// Gives comments behind something on lines above `line` to the entry that was met last.
  private mutating func giveBehind(until line: Int) {
    guard let before else { return }
    while let comment = behind.first, comment.line < line {
      trailing[before] = trailing[before].map { $0 + " " + comment.text } ?? comment.text
      behind.removeFirst()
    }
  }

  /// What stands above an entry whose first character, of an item the dash, is on `line`.
  private mutating func take(_ entry: Entry, _ line: Int) {
    giveBehind(until: line)
    before = entry
    var first = line
    while let comment = open.first, comment.line < line {
      if leading[entry] == nil { first = comment.line }
      leading[entry, default: []].append(comment.text)
      open.removeFirst()
      // A blank line between two comments, or below one, sets them apart.
      if blanks.contains(comment.line + 1) { leading[entry, default: []].append("") }
    }
    if blanks.contains(first - 1) { spaced.insert(entry) }
  }

  /// What ended before a comment is what the comment stands behind. A block ends only where the next thing begins.
  private mutating func leave(_ entry: Entry, _ value: YAMLNode) {
    giveBehind(until: value.end.line)
    guard let comment = behind.first, value.end <= Position(line: comment.line, column: comment.column) else { return }
    before = entry
  }

  private mutating func attach(_ node: YAMLNode, until limit: Int) {
    switch node.content {
    case .scalar: return
    case .sequence(let nodes):
      if nodes.isEmpty || nodes[0].start.isNowhere { return }
      let lines = nodes.map { (dashes?.dash(before: $0.start) ?? $0.start).line }
      for (index, item) in nodes.enumerated() {
        let own = Entry(position: item.start, isItem: true)
        take(own, lines[index])
        attach(item, until: index + 1 < nodes.count ? lines[index + 1] : limit)
        leave(own, item)
      }
    case .mapping(let entries):
      if entries.isEmpty || entries[0].keyNode.start.isNowhere { return }
      for (index, entry) in entries.enumerated() {
        let own = Entry(position: entry.keyNode.start, isItem: false)
        take(own, own.position.line)
        attach(entry.value, until: index + 1 < entries.count ? entries[index + 1].keyNode.start.line : limit)
        leave(own, entry.value)
      }
    }
    while let comment = open.first, comment.line < limit, comment.column >= node.start.column {
      tail[node.start, default: []] += lines(comment)
      open.removeFirst()
    }
  }
}

extension Position {
  /// Whether this is the place of a copy that an alias stands for.
  fileprivate var isNowhere: Bool { line == 0 }
}

/// Finds the dashes of lists: libyaml says where an item begins, and below its dash there may be comments.
private struct Dashes {
  private let source: SourceText
  /// The column at which a comment begins, by line.
  private let comments: [Int: Int]
  /// The line that was looked at last: lists of one line are long.
  private var line = 0
  private var scalars: [Unicode.Scalar] = []

  init(source: SourceText, comments: [Int: Int]) {
    self.source = source
    self.comments = comments
  }

  /// The dash of an item that begins at `start`; nil for an item between brackets.
  mutating func dash(before start: Position) -> Position? {
    var place = start
    while place.line >= 1 {
      if line != place.line {
        line = place.line
        scalars = Array((source.line(line) ?? "").unicodeScalars)
      }
      let end = min(place.column - 1, scalars.count)
      if let last = scalars[..<end].lastIndex(where: { $0 != " " && $0 != "\t" }) {
        return scalars[last] == "-" ? Position(line: line, column: last + 1) : nil
      }
      place = Position(line: line - 1, column: comments[line - 1] ?? Int.max)
    }
    return nil
  }
}
