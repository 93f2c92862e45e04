import Glibc
import System

/// What another program gives this one.
enum StandardInput {
  /// All of standard input.
  /// - Parameter tooLarge: what is said of more than `limit` bytes, where that is not in MiB.
  /// - Throws: `Failure` when it is larger than `limit` bytes, or cannot be read.
  static func read(limit: Int, tooLarge: (() -> Failure)? = nil) throws -> [UInt8] {
    var out: [UInt8] = []
    try forEachPiece(limit: limit, tooLarge) { out.append(contentsOf: $0) }
    return out
  }

  /// All of standard input, in a file without a name when it is large.
  /// - Throws: as `read`; `ByteSourceError`.
  static func source(limit: Int, folder: String) throws -> any ByteSource {
    let spool = Spool(folder: folder)
    try forEachPiece(limit: limit) { try spool.append(Array($0)) }
    return try spool.finish()
  }

  private static func forEachPiece(limit: Int, _ tooLarge: (() -> Failure)? = nil, _ body: (ArraySlice<UInt8>) throws -> Void)
    throws
  {
    var total = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(0, &buffer, buffer.count)
      if count == 0 { return }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure("standard input cannot be read: \(Files.reason())")
      }
      total += count
      guard total <= limit else { throw tooLarge?() ?? Failure("standard input is larger than \(limit >> 20) MiB") }
      try body(buffer[..<count])
    }
  }
}
