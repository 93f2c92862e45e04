import System

/// How much of a zip is taken, so that a small upload cannot fill the memory.
public struct ZipLimits: Sendable, Hashable {
  /// Entries of one zip.
  public var entries: Int
  /// Bytes of one entry, unpacked.
  public var entrySize: Int
  /// Bytes of all entries, unpacked.
  public var totalSize: Int
  /// Unpacked over packed size of one entry above 1 MiB; honest documents stay under 20.
  public var ratio: Int

  /// Limits of one's own; the defaults leave room for a packet with a few scanned documents.
  public init(entries: Int = 200, entrySize: Int = 64 << 20, totalSize: Int = 256 << 20, ratio: Int = 200) {
    self.entries = entries
    self.entrySize = entrySize
    self.totalSize = totalSize
    self.ratio = ratio
  }
}

/// A named piece of a zip, in memory.
struct ZipEntry: Sendable, Hashable {
  var name: String
  var content: [UInt8]
  /// What is encrypted cannot be packed any more: trying costs as much as all the rest.
  var isEncrypted = false
}

/// Zips in memory as a whole.
enum ZipArchive {
  /// A zip of the entries in their order, all with the same time (UTC, as packets have no other): the same input gives the same bytes.
  static func write(_ entries: [ZipEntry], at time: Instant) throws -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(entries.reduce(0) { $0 + $1.content.count / 2 } + 4096)
    let writer = ZipWriter(at: time) { out.append(contentsOf: $0) }
    for entry in entries {
      if entry.isEncrypted {
        var crc = CRC()
        entry.content.withUnsafeBytes { crc.update($0) }
        try writer.add(entry.name, stored: MemorySource(entry.content), crc: UInt32(truncatingIfNeeded: crc.value))
      } else if entry.content.count <= ZipWriter.small {
        try writer.add(entry.name, entry.content)
      } else {
        try writer.add(entry.name) { write in try entry.content.withUnsafeBytes { try write($0) } }
      }
    }
    try writer.finish()
    return out
  }

  /// All files of a zip, in its order.
  /// - Parameter flat: whether names may have no folders, as in a sub-packet.
  /// - Throws: `PacketError` `badZip`, `hostileZip`.
  static func read(_ bytes: [UInt8], limits: ZipLimits, flat: Bool) throws -> [ZipEntry] {
    let reader = try ZipReader(MemorySource(bytes), limits: limits, flat: flat)
    return try reader.files.map { ZipEntry(name: $0.name, content: try reader.content(of: $0)) }
  }
}
