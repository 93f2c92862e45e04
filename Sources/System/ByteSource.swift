import Glibc

/// Bytes of a known number that can be read from anywhere: in memory, in a file, in a part of another source.
public protocol ByteSource: AnyObject, Sendable {
  /// The number of bytes.
  var count: Int { get }
  /// Fills a buffer with the bytes from an offset on; all of them are inside the source.
  /// - Throws: `ByteSourceError` when they cannot be read.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws
}

/// A source that cannot be read, or no longer has the bytes it had.
public struct ByteSourceError: Error, Sendable, CustomStringConvertible {
  /// What was wrong, for a person.
  public let description: String

  /// An error of a text.
  public init(_ description: String) { self.description = description }
}

extension ByteSource {
  /// The bytes of a range, which is inside the source.
  public func bytes(in range: Range<Int>) throws -> [UInt8] {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, filled in
      let whole = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<range.count])
      try read(at: range.lowerBound, into: whole)
      filled = range.count
    }
  }

  /// All bytes.
  public func bytes() throws -> [UInt8] {
    if let memory = self as? MemorySource { return memory.content }
    return try bytes(in: 0..<count)
  }

  /// Whether it is small enough to be worked on in memory as a whole, which is faster than piece by piece.
  public var isSmall: Bool { count <= MemorySource.most }

  /// Gives the bytes of a range piece by piece, in order.
  public func forEachPiece(
    in range: Range<Int>? = nil, size: Int = 128 << 10, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let range = range ?? 0..<count
    if let memory = self as? MemorySource {
      return try memory.content.withUnsafeBytes { bytes in
        for at in stride(from: range.lowerBound, to: range.upperBound, by: size) {
          try body(UnsafeRawBufferPointer(rebasing: bytes[at..<min(at + size, range.upperBound)]))
        }
      }
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(min(size, range.count), 1), alignment: 16)
    defer { buffer.deallocate() }
    var at = range.lowerBound
    while at < range.upperBound {
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, range.upperBound - at)])
      try read(at: at, into: piece)
      try body(UnsafeRawBufferPointer(piece))
      at += piece.count
    }
  }
}

/// Bytes in memory.
public final class MemorySource: ByteSource {
  fileprivate let content: [UInt8]

  /// Bytes up to which a source counts as small: MOSIP's limit of 5 MiB for a packet, so that all packets of a deployment that keeps it are.
  public static let most = 5 << 20

  /// The given bytes.
  public init(_ content: [UInt8]) { self.content = content }

  /// The number of bytes.
  public var count: Int { content.count }

  /// Copies the bytes.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    content.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + buffer.count]))
    }
  }
}

/// A file. Reading blocks for as long as a disk does.
public final class FileSource: ByteSource {
  private let descriptor: Int32
  /// The bytes that the file had when it was opened.
  public let count: Int

  /// Opens a regular file, which keeps the size it has now.
  /// - Throws: `ByteSourceError`.
  public init(path: String) throws {
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard descriptor >= 0 else { throw ByteSourceError("\(path) cannot be read: \(String(cString: strerror(errno)))") }
    var about = stat()
    guard fstat(descriptor, &about) == 0, about.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw ByteSourceError("\(path) is no file")
    }
    count = Int(about.st_size)
  }

  /// Takes over an open regular file of so many bytes; it is closed with the source.
  public init(owning descriptor: Int32, count: Int) {
    self.descriptor = descriptor
    self.count = count
  }

  deinit { close(descriptor) }

  /// Reads from the file.
  /// - Throws: `ByteSourceError` when it has become shorter or the disk fails.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    var filled = 0
    while filled < buffer.count {
      let got = pread(descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + filled))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { throw ByteSourceError("a file has become shorter or cannot be read") }
      filled += got
    }
  }
}

/// A part of another source.
public final class SliceSource: ByteSource {
  private let base: any ByteSource
  private let start: Int
  /// The bytes of the part.
  public let count: Int

  /// The bytes of a range, which is inside the other source.
  public init(_ base: any ByteSource, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= base.count)
    self.base = base
    start = range.lowerBound
    count = range.count
  }

  /// Reads from the other source.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try base.read(at: start + offset, into: buffer)
  }
}

/// Takes bytes one after another and gives them back as a source: in memory up to a limit, in a file without a name above it, so that
/// nothing is left behind whatever ends the process. What must not reach a disk must not be put in.
public final class Spool {
  private let folder: String
  private let limit: Int
  private var memory: [UInt8] = []
  private var descriptor: Int32 = -1
  private var written = 0

  /// An empty spool.
  /// - Parameters:
  ///   - folder: where the file is made.
  ///   - limit: the most bytes that stay in memory.
  public init(folder: String = TemporaryFiles.folder, limit: Int = 4 << 20) {
    self.folder = folder
    self.limit = limit
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The number of bytes so far.
  public var count: Int { written + memory.count }

  /// Takes the next bytes.
  /// - Throws: `ByteSourceError` when the file cannot be made or written.
  public func append(_ bytes: UnsafeRawBufferPointer) throws {
    if memory.count + bytes.count > limit {
      try flush(UnsafeRawBufferPointer(start: nil, count: 0))
      if bytes.count > limit { return try flush(bytes) }
    }
    memory.append(contentsOf: bytes)
  }

  /// Takes the next bytes.
  public func append(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try append($0) } }

  /// All bytes; the spool is empty afterwards.
  public func finish() throws -> any ByteSource {
    defer { written = 0 }
    if descriptor < 0 {
      defer { memory = [] }
      return MemorySource(memory)
    }
    try flush(UnsafeRawBufferPointer(start: nil, count: 0))
    defer { descriptor = -1 }
    return FileSource(owning: descriptor, count: written)
  }

  private func flush(_ bytes: UnsafeRawBufferPointer) throws {
    if descriptor < 0 {
      var template = Array((folder + "/regproc-XXXXXX").utf8CString)
      descriptor = mkstemp(&template)
      guard descriptor >= 0 else {
        throw ByteSourceError("no file can be made in \(folder): \(String(cString: strerror(errno)))")
      }
      unlink(template)
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
    try memory.withUnsafeBytes { try write($0) }
    memory.removeAll(keepingCapacity: true)
    try write(bytes)
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws {
    var at = 0
    while at < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress! + at, bytes.count - at)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw ByteSourceError("a file in \(folder) cannot be written: \(String(cString: strerror(errno)))")
      }
      at += count
    }
    written += bytes.count
  }
}
