import Glibc

/// What another program gives this one.
enum StandardInput {
  /// All of standard input.
  /// - Throws: `Failure` when it is larger than `limit` bytes, or cannot be read.
  static func read(limit: Int) throws(Failure) -> [UInt8] {
    var out: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(0, &buffer, buffer.count)
      if count == 0 { return out }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure("standard input cannot be read: \(Files.reason())")
      }
      guard out.count + count <= limit else { throw Failure("standard input is larger than \(limit >> 20) MiB") }
      out.append(contentsOf: buffer[..<count])
    }
  }
}
