import System

/// Reads a zip by its directory, strictly: directory and local headers must say the same, entries must fill the file from its first
/// byte to the directory without gap or overlap, and nothing may stand behind it. So a reader that goes from front to back, as
/// MOSIP's Java does, sees the very same files, and no zip of ours or theirs means two things.
///
/// What packets never need is refused by name: zip64, several disks, passwords, other packings than deflate.
final class ZipReader: Sendable {
  /// An entry of the directory.
  struct Entry: Sendable, Hashable {
    var name: String
    /// Bytes, unpacked.
    var size: Int
    /// Bytes in the zip.
    var packed: Int
    var crc: UInt32
    var isDeflated: Bool
    /// Where its packed bytes begin.
    var start: Int
    /// A name that ends with `/`.
    var isFolder: Bool
  }

  /// All entries but folders, in the order of the directory.
  let files: [Entry]
  private let source: any ByteSource

  /// Reads and checks the directory; contents are checked when they are read.
  /// - Parameter flat: whether names may have no folders, as in a sub-packet.
  /// - Throws: `PacketError` `badZip`, `hostileZip`; `ByteSourceError`.
  init(_ source: any ByteSource, limits: ZipLimits, flat: Bool) throws {
    self.source = source
    let (directory, start) = try ZipDirectory.find(in: source, limits: limits)
    var entries: [Entry] = []
    var seen: Set<String> = []
    var total = 0
    for record in directory {
      let name = try Self.name(record.name, flat: flat)
      guard seen.insert(name.lowercased()).inserted else { throw PacketError(.hostileZip, "two entries of one name") }
      try Self.check(record, limits)
      total += record.size
      guard total <= limits.totalSize else { throw PacketError(.hostileZip, "entries that are too large together") }
      let isFolder = name.hasSuffix("/")
      guard !isFolder || record.size == 0 else { throw PacketError(.hostileZip, "a folder with content") }
      entries.append(
        Entry(
          name: name, size: record.size, packed: record.packed, crc: record.crc, isDeflated: record.method == 8,
          start: try record.contentStart(in: source, directoryAt: start), isFolder: isFolder))
    }
    try Self.checkPlaces(directory, entries, directoryAt: start, source)
    files = entries.filter { !$0.isFolder }
  }

  /// Gives an entry's bytes piece by piece. What came is to be believed only when this returns.
  /// - Throws: `PacketError` `badZip` (damaged), `hostileZip` (a size that is not as declared).
  func read(_ entry: Entry, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    var crc = CRC()
    var size = 0
    func take(_ bytes: UnsafeRawBufferPointer) throws {
      size += bytes.count
      guard size <= entry.size else { throw PacketError(.hostileZip, "an entry whose size is not as declared") }
      crc.update(bytes)
      try body(bytes)
    }
    let range = entry.start..<entry.start + entry.packed
    if entry.isDeflated {
      let inflater = try Inflater()
      try source.forEachPiece(in: range) { try inflater.update($0, take) }
      guard inflater.isAtEnd else { throw PacketError(.badZip, "an entry is cut short") }
    } else {
      try source.forEachPiece(in: range, take)
    }
    guard size == entry.size else { throw PacketError(.hostileZip, "an entry whose size is not as declared") }
    guard UInt32(truncatingIfNeeded: crc.value) == entry.crc else { throw PacketError(.badZip, "an entry is damaged") }
  }

  /// An entry's bytes; its declared size was held against the limits already.
  func content(of entry: Entry) throws -> [UInt8] {
    var out: [UInt8] = []
    // Not all at once: a lie about the size shall cost nothing.
    out.reserveCapacity(min(entry.size, max(entry.packed * 4, 4096)))
    try read(entry) { out.append(contentsOf: $0) }
    return out
  }

  /// The bytes of an entry that is stored as it is, where they stand; nil for a packed one. Its CRC is not checked by that.
  func stored(_ entry: Entry) -> (any ByteSource)? {
    entry.isDeflated ? nil : SliceSource(source, entry.start..<entry.start + entry.packed)
  }

  private static func check(_ record: ZipDirectory.Record, _ limits: ZipLimits) throws {
    if record.flags & (1 | 1 << 6 | 1 << 13) != 0 { throw PacketError(.hostileZip, "an entry with a password") }
    guard record.method == 0 || record.method == 8 else {
      throw PacketError(.badZip, "an entry packed in an unknown way")
    }
    guard record.method == 8 || record.size == record.packed else {
      throw PacketError(.hostileZip, "an entry whose size is not as declared")
    }
    // A reader from front to back could not know where such an entry ends.
    guard record.method == 8 || record.flags & 1 << 3 == 0 else {
      throw PacketError(.hostileZip, "a stored entry whose size stands behind it")
    }
    // Only the Unix part of the attributes can say "link" or "device"; zero says nothing.
    let kind = record.attributes >> 16 & 0o170000
    if record.system == 3 || record.system == 19, kind != 0, kind != 0o100000, kind != 0o040000 {
      throw PacketError(.hostileZip, "an entry that is no file")
    }
    guard record.size <= limits.entrySize else { throw PacketError(.hostileZip, "an entry that is too large") }
    guard record.size <= 1 << 20 || record.size / limits.ratio <= record.packed else {
      throw PacketError(.hostileZip, "an entry packed more than \(limits.ratio) to 1")
    }
  }

  /// Entries must follow each other without gap or overlap, each with its data descriptor where it has one.
  private static func checkPlaces(
    _ directory: [ZipDirectory.Record], _ entries: [Entry], directoryAt start: Int, _ source: any ByteSource
  ) throws {
    var at = 0
    for place in directory.indices.sorted(by: { directory[$0].offset < directory[$1].offset }) {
      guard directory[place].offset == at else {
        throw PacketError(.hostileZip, "entries with gaps between them, or overlapping")
      }
      at = entries[place].start + entries[place].packed
      if directory[place].flags & 1 << 3 != 0 {
        at += try directory[place].descriptorSize(in: source, at: at, directoryAt: start)
      }
      guard at <= start else { throw PacketError(.hostileZip, "entries with gaps between them, or overlapping") }
    }
    guard at == start else { throw PacketError(.hostileZip, "bytes that belong to no entry") }
  }

  private static func name(_ bytes: [UInt8], flat: Bool) throws -> String {
    guard let name = String(validating: bytes, as: UTF8.self) else {
      throw PacketError(.badZip, "an entry without a readable name")
    }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let isFolder = name.hasSuffix("/")
    let isSafe =
      !name.isEmpty && name.utf8.count <= 255
      && parts.dropLast(isFolder ? 1 : 0).allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
      && name.unicodeScalars.allSatisfy { $0.value >= 32 && $0 != "\\" && $0 != ":" && $0.value != 127 }
    guard isSafe else { throw PacketError(.hostileZip, "an entry name that leads elsewhere") }
    if flat, parts.count > 1 { throw PacketError(.hostileZip, "a folder in a sub-packet") }
    return name
  }
}
