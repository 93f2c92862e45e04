import System

/// Writes a zip from front to back, with nothing in memory but its directory, so that it can be encrypted on its way
/// (APPNOTE.TXT 4.3). Sizes stand behind each packed entry, in a data descriptor, as Java's ZipOutputStream has them.
final class ZipWriter {
  /// Where bytes go.
  typealias Sink = (UnsafeRawBufferPointer) throws -> Void

  /// Content up to so many bytes is packed at once and stored as it is when packing does not help.
  static let small = 64 << 10

  private struct Written {
    var name: [UInt8]
    var method: UInt16
    var flags: UInt16
    var crc: UInt32
    var packed: Int
    var size: Int
    var offset: Int
  }

  private let sink: Sink
  private let date: (day: UInt16, clock: UInt16)
  private var offset = 0
  private var entries: [Written] = []
  private var deflater: Deflater?

  /// A zip whose entries all have one time.
  init(at time: Instant, to sink: @escaping Sink) {
    self.sink = sink
    date = Self.dosTime(time)
  }

  /// Adds an entry, packed; the closure gives its bytes piece by piece to the one it is given.
  func add(_ name: String, _ body: (Sink) throws -> Void) throws {
    // Bit 3: sizes come behind. Bit 11: the name is UTF-8.
    var entry = try begin(name, method: 8, flags: 1 << 3 | 1 << 11, crc: 0, size: 0)
    let deflater = try self.deflater ?? Deflater()
    self.deflater = deflater
    deflater.reset()
    var crc = CRC()
    let start = offset
    try body { bytes in
      crc.update(bytes)
      entry.size += bytes.count
      try deflater.update(bytes) { try put($0) }
    }
    try deflater.update(UnsafeRawBufferPointer(start: nil, count: 0), ends: true) { try put($0) }
    entry.packed = offset - start
    entry.crc = UInt32(truncatingIfNeeded: crc.value)
    try check(entry)
    try put(Self.u32(0x0807_4b50) + Self.u32(Int(entry.crc)) + Self.u32(entry.packed) + Self.u32(entry.size))
    entries.append(entry)
  }

  /// Adds a small entry whose bytes are all there: packed if that makes it smaller, with its sizes in front.
  func add(_ name: String, _ content: [UInt8]) throws {
    let deflater = try self.deflater ?? Deflater()
    self.deflater = deflater
    deflater.reset()
    var packed: [UInt8] = []
    try content.withUnsafeBytes { try deflater.update($0, ends: true) { packed.append(contentsOf: $0) } }
    var crc = CRC()
    content.withUnsafeBytes { crc.update($0) }
    let isSmaller = packed.count < content.count
    let entry = try begin(
      name, method: isSmaller ? 8 : 0, flags: 1 << 11, crc: UInt32(truncatingIfNeeded: crc.value), size: content.count,
      packed: isSmaller ? packed.count : content.count)
    try put(isSmaller ? packed : content)
    entries.append(entry)
  }

  /// Adds an entry as it is: for what is encrypted and cannot be packed any more.
  func add(_ name: String, stored source: any ByteSource, crc: UInt32) throws {
    let entry = try begin(name, method: 0, flags: 1 << 11, crc: crc, size: source.count)
    try source.forEachPiece { try put($0) }
    entries.append(entry)
  }

  /// Writes the directory.
  func finish() throws {
    let start = offset
    for entry in entries {
      // Made on Unix; a regular file that only its owner reads.
      var record = Self.u32(0x0201_4b50) + Self.u16(3 << 8 | 20) + fields(of: entry)
      record += Self.u16(0) + Self.u16(0) + Self.u16(0) + Self.u32(0o100600 << 16) + Self.u32(entry.offset)
      try put(record + entry.name)
    }
    let count = entries.count
    let size = offset - start
    guard count < 0xffff, offset < 0xffff_ffff else { throw PacketError(.badZip, "too large for a zip") }
    try put(
      Self.u32(0x0605_4b50) + Self.u16(0) + Self.u16(0) + Self.u16(count) + Self.u16(count) + Self.u32(size)
        + Self.u32(start) + Self.u16(0))
  }

  private func begin(
    _ name: String, method: UInt16, flags: UInt16, crc: UInt32, size: Int, packed: Int? = nil
  ) throws -> Written {
    let entry = Written(
      name: Array(name.utf8), method: method, flags: flags, crc: crc, packed: packed ?? size, size: size, offset: offset
    )
    try check(entry)
    try put(Self.u32(0x0403_4b50) + fields(of: entry) + entry.name)
    return entry
  }

  /// What local header and directory have in common: from the version to the length of the extra field.
  private func fields(of entry: Written) -> [UInt8] {
    Self.u16(20) + Self.u16(Int(entry.flags)) + Self.u16(Int(entry.method)) + Self.u16(Int(date.clock))
      + Self.u16(Int(date.day)) + Self.u32(Int(entry.crc)) + Self.u32(entry.packed) + Self.u32(entry.size)
      + Self.u16(entry.name.count) + Self.u16(0)
  }

  /// Larger zips need another form, which no packet has.
  private func check(_ entry: Written) throws {
    guard entry.size < 0xffff_ffff, entry.packed < 0xffff_ffff, entry.offset < 0xffff_ffff, entry.name.count < 0xffff
    else {
      throw PacketError(.badZip, "too large for a zip")
    }
  }

  private func put(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try put($0) } }

  private func put(_ bytes: UnsafeRawBufferPointer) throws {
    offset += bytes.count
    try sink(bytes)
  }

  private static func u16(_ value: Int) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8 & 255)] }
  private static func u32(_ value: Int) -> [UInt8] { u16(value & 0xffff) + u16(value >> 16 & 0xffff) }

  /// MS-DOS date and time: years from 1980, seconds in steps of two.
  private static func dosTime(_ time: Instant) -> (UInt16, UInt16) {
    let civil = time.civil
    let year = min(max(civil.year, 1980), 2107) - 1980
    return (
      UInt16(year << 9 | civil.month << 5 | civil.day), UInt16(civil.hour << 11 | civil.minute << 5 | civil.second / 2)
    )
  }
}
