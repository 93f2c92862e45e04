import CZip
import Glibc
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

/// A named piece of a zip.
struct ZipEntry: Sendable, Hashable {
  var name: String
  var content: [UInt8]
}

/// Zips in memory by libzip, within limits. Callers see only names and bytes, which a reader that streams would give as well.
enum ZipArchive {
  /// A zip of the entries in their order, all with the same time (UTC, as packets have no other): the same input gives the same bytes.
  static func write(_ entries: [ZipEntry], at time: Instant) throws -> [UInt8] {
    var error = zip_error_t()
    zip_error_init(&error)
    defer { zip_error_fini(&error) }
    guard let sink = zip_source_buffer_create(nil, 0, 0, &error) else { throw PacketError(.badZip, "no memory") }
    guard let archive = zip_open_from_source(sink, ZIP_TRUNCATE, &error) else {
      zip_source_free(sink)
      throw PacketError(.badZip, "no zip can be made")
    }
    zip_source_keep(sink)
    defer { zip_source_free(sink) }
    let (date, clock) = dosTime(time)
    for entry in entries {
      // libzip reads the content when it closes the archive, and frees this copy.
      let copy = malloc(max(entry.content.count, 1))!
      _ = entry.content.withUnsafeBytes { memcpy(copy, $0.baseAddress ?? UnsafeRawPointer(copy), $0.count) }
      guard let source = zip_source_buffer(archive, copy, UInt64(entry.content.count), 1) else {
        free(copy)
        zip_discard(archive)
        throw PacketError(.badZip, "no memory")
      }
      let index = zip_file_add(archive, entry.name, source, UInt32(ZIP_FL_ENC_UTF_8))
      guard index >= 0 else {
        zip_source_free(source)
        zip_discard(archive)
        throw PacketError(.badZip, "the entry `\(entry.name)` cannot be added")
      }
      zip_file_set_dostime(archive, UInt64(index), clock, date, 0)
    }
    guard zip_close(archive) == 0 else {
      zip_discard(archive)
      throw PacketError(.badZip, "no zip can be made")
    }
    return try content(of: sink)
  }

  private static func content(of source: OpaquePointer) throws -> [UInt8] {
    var stat = zip_stat_t()
    guard zip_source_stat(source, &stat) == 0, zip_source_open(source) == 0 else {
      throw PacketError(.badZip, "no zip can be made")
    }
    defer { zip_source_close(source) }
    var out = [UInt8](repeating: 0, count: Int(stat.size))
    let count = out.withUnsafeMutableBytes { zip_source_read(source, $0.baseAddress, UInt64($0.count)) }
    guard count == Int64(out.count) else { throw PacketError(.badZip, "no zip can be made") }
    return out
  }

  /// MS-DOS date and time: years from 1980, seconds in steps of two.
  private static func dosTime(_ time: Instant) -> (UInt16, UInt16) {
    let civil = time.civil
    let year = min(max(civil.year, 1980), 2107) - 1980
    return (
      UInt16(year << 9 | civil.month << 5 | civil.day), UInt16(civil.hour << 11 | civil.minute << 5 | civil.second / 2)
    )
  }

  /// All files of a zip, in its order.
  /// - Parameter flat: whether names may have no folders, as in a sub-packet.
  /// - Throws: `PacketError` `badZip`, `hostileZip`.
  static func read(_ bytes: [UInt8], limits: ZipLimits, flat: Bool) throws -> [ZipEntry] {
    // libzip takes no bytes at all for an empty archive.
    guard !bytes.isEmpty else { throw PacketError(.badZip, "no bytes") }
    return try bytes.withUnsafeBytes { raw in
      var error = zip_error_t()
      zip_error_init(&error)
      defer { zip_error_fini(&error) }
      guard let source = zip_source_buffer_create(raw.baseAddress, UInt64(raw.count), 0, &error) else {
        throw PacketError(.badZip, "no memory")
      }
      guard let archive = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error) else {
        zip_source_free(source)
        throw PacketError(.badZip, "no zip, or one that contradicts itself")
      }
      defer { zip_discard(archive) }
      return try entries(of: archive, limits, flat: flat)
    }
  }

  private static func entries(of archive: OpaquePointer, _ limits: ZipLimits, flat: Bool) throws -> [ZipEntry] {
    let count = Int(zip_get_num_entries(archive, 0))
    guard count <= limits.entries else {
      throw PacketError(.hostileZip, "\(count) entries, at most \(limits.entries) are taken")
    }
    var out: [ZipEntry] = []
    var seen: Set<String> = []
    var total = 0
    for index in 0..<UInt64(max(count, 0)) {
      var stat = zip_stat_t()
      // Raw: libzip would else take a name that is not marked as UTF-8 for one in the DOS code page.
      guard zip_stat_index(archive, index, 0, &stat) == 0,
        let name = zip_get_name(archive, index, UInt32(ZIP_FL_ENC_RAW)).flatMap({ String(validatingCString: $0) })
      else { throw PacketError(.badZip, "an entry without a readable name or size") }
      try check(name: name, flat: flat)
      guard seen.insert(name.lowercased()).inserted else { throw PacketError(.hostileZip, "two entries of one name") }
      var system: UInt8 = 0
      var attributes: UInt32 = 0
      zip_file_get_external_attributes(archive, index, 0, &system, &attributes)
      let kind = attributes >> 16 & 0o170000
      // Only the Unix part of the attributes can say "link" or "device"; zero says nothing.
      if Int32(system) == ZIP_OPSYS_UNIX, kind != 0, kind != 0o100000, kind != 0o040000 {
        throw PacketError(.hostileZip, "an entry that is no file")
      }
      if Int32(stat.encryption_method) != ZIP_EM_NONE { throw PacketError(.hostileZip, "an entry with a password") }
      if name.hasSuffix("/") { continue }
      guard stat.size <= UInt64(limits.entrySize) else { throw PacketError(.hostileZip, "an entry that is too large") }
      let size = Int(stat.size)
      total += size
      guard total <= limits.totalSize else { throw PacketError(.hostileZip, "entries that are too large together") }
      guard size <= 1 << 20 || UInt64(size) / UInt64(limits.ratio) <= stat.comp_size else {
        throw PacketError(.hostileZip, "an entry packed more than \(limits.ratio) to 1")
      }
      out.append(ZipEntry(name: name, content: try content(of: archive, index, size: size)))
    }
    return out
  }

  /// Reads exactly as much as was declared, and on to the end, where libzip checks the CRC.
  private static func content(of archive: OpaquePointer, _ index: UInt64, size: Int) throws -> [UInt8] {
    guard let file = zip_fopen_index(archive, index, 0) else { throw PacketError(.badZip, "an entry cannot be read") }
    defer { zip_fclose(file) }
    var out = [UInt8](repeating: 0, count: size + 1)
    var at = 0
    while at < out.count {
      let count = out.withUnsafeMutableBytes { zip_fread(file, $0.baseAddress! + at, UInt64($0.count - at)) }
      guard count >= 0 else { throw PacketError(.badZip, "an entry is damaged") }
      if count == 0 { break }
      at += Int(count)
    }
    guard at == size else { throw PacketError(.hostileZip, "an entry whose size is not as declared") }
    out.removeLast()
    return out
  }

  private static func check(name: String, flat: Bool) throws {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let isFolder = name.hasSuffix("/")
    let isSafe =
      !name.isEmpty && name.utf8.count <= 255
      && parts.dropLast(isFolder ? 1 : 0).allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
      && name.unicodeScalars.allSatisfy { $0.value >= 32 && $0 != "\\" && $0 != ":" && $0.value != 127 }
    guard isSafe else { throw PacketError(.hostileZip, "an entry name that leads elsewhere") }
    if flat, parts.count > 1 { throw PacketError(.hostileZip, "a folder in a sub-packet") }
  }
}
