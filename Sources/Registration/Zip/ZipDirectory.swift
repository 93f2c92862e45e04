import System

/// The directory at the end of a zip (APPNOTE.TXT 4.3.12, 4.3.16) and what local headers must repeat of it (4.3.7).
enum ZipDirectory {
  /// One entry of the directory as it is written.
  struct Record {
    var system: UInt8
    var flags: Int
    var method: Int
    var crc: UInt32
    var packed: Int
    var size: Int
    var attributes: UInt32
    var offset: Int
    var name: [UInt8]
  }

  private static let endSize = 22
  private static let recordSize = 46
  private static let localSize = 30
  private static let largestComment = 0xffff
  /// What the fields of a zip64 hold in place of a number.
  private static let elsewhere = 0xffff_ffff

  /// The entries, and where the directory begins.
  static func find(in source: any ByteSource, limits: ZipLimits) throws -> (records: [Record], start: Int) {
    guard source.count >= endSize else { throw PacketError(.badZip, "too short for a zip") }
    let tailStart = max(0, source.count - endSize - largestComment)
    let tail = try source.bytes(in: tailStart..<source.count)
    // From the back: the last end record whose comment reaches to the last byte.
    let place = stride(from: tail.count - endSize, through: 0, by: -1).first {
      tail.u32($0) == 0x0605_4b50 && $0 + endSize + tail.u16($0 + 20) == tail.count
    }
    guard let place else { throw PacketError(.badZip, "no zip") }
    if place >= 20, tail.u32(place - 20) == 0x0706_4b50 {
      throw PacketError(.hostileZip, "a zip64, which no packet needs")
    }
    let count = tail.u16(place + 10)
    let size = tail.u32(place + 12)
    let start = tail.u32(place + 16)
    guard count != 0xffff, size != elsewhere, start != elsewhere else {
      throw PacketError(.hostileZip, "a zip64, which no packet needs")
    }
    guard tail.u16(place + 4) == 0, tail.u16(place + 6) == 0, tail.u16(place + 8) == count else {
      throw PacketError(.hostileZip, "a zip of several disks")
    }
    guard count <= limits.entries else {
      throw PacketError(.hostileZip, "\(count) entries, at most \(limits.entries) are taken")
    }
    guard start + size == tailStart + place else {
      throw PacketError(.badZip, "a directory that is not where it is said to be")
    }
    // Names and extra fields of honest entries take some hundred bytes.
    guard size <= count * 2048 else { throw PacketError(.hostileZip, "a directory that is too large for its entries") }
    let bytes = try source.bytes(in: start..<start + size)
    var records: [Record] = []
    var at = 0
    for _ in 0..<count { records.append(try record(bytes, &at)) }
    guard at == bytes.count else { throw PacketError(.badZip, "a directory that is longer than its entries") }
    return (records, start)
  }

  private static func record(_ bytes: [UInt8], _ at: inout Int) throws -> Record {
    guard at + recordSize <= bytes.count, bytes.u32(at) == 0x0201_4b50 else {
      throw PacketError(.badZip, "a directory that is no directory")
    }
    let nameSize = bytes.u16(at + 28)
    let next = at + recordSize + nameSize + bytes.u16(at + 30) + bytes.u16(at + 32)
    guard next <= bytes.count else { throw PacketError(.badZip, "a directory that is cut short") }
    let out = Record(
      system: bytes[at + 5], flags: bytes.u16(at + 8), method: bytes.u16(at + 10), crc: UInt32(bytes.u32(at + 16)),
      packed: bytes.u32(at + 20), size: bytes.u32(at + 24), attributes: UInt32(bytes.u32(at + 38)),
      offset: bytes.u32(at + 42),
      name: Array(bytes[at + recordSize..<at + recordSize + nameSize]))
    guard bytes.u16(at + 34) == 0 else { throw PacketError(.hostileZip, "a zip of several disks") }
    guard out.packed != elsewhere, out.size != elsewhere, out.offset != elsewhere else {
      throw PacketError(.hostileZip, "a zip64, which no packet needs")
    }
    at = next
    return out
  }
}

extension ZipDirectory.Record {
  /// Where the content begins, when the local header says what the directory says.
  func contentStart(in source: any ByteSource, directoryAt limit: Int) throws -> Int {
    let contradiction = PacketError(.badZip, "an entry of which the zip says two things")
    guard offset + 30 + name.count <= limit else { throw PacketError(.badZip, "an entry behind its directory") }
    let local = try source.bytes(in: offset..<offset + 30 + name.count)
    guard local.u32(0) == 0x0403_4b50 else { throw PacketError(.badZip, "no entry where the directory has one") }
    guard local.u16(6) == flags, local.u16(8) == method, local.u16(26) == name.count,
      local[30...].elementsEqual(name)
    else { throw contradiction }
    let sizes = (UInt32(local.u32(14)), local.u32(18), local.u32(22))
    // With a data descriptor the header may leave them out.
    guard sizes == (crc, packed, size) || flags & 1 << 3 != 0 && sizes == (0, 0, 0) else { throw contradiction }
    let start = offset + 30 + name.count + local.u16(28)
    guard start + packed <= limit else { throw PacketError(.badZip, "an entry that reaches into the directory") }
    return start
  }

  /// The bytes of the data descriptor (APPNOTE.TXT 4.3.9) behind the content, which has a signature or has not.
  func descriptorSize(in source: any ByteSource, at place: Int, directoryAt limit: Int) throws -> Int {
    let bytes = try source.bytes(in: place..<min(place + 16, limit))
    func says(_ at: Int) -> Bool {
      bytes.count >= at + 12 && UInt32(bytes.u32(at)) == crc && bytes.u32(at + 4) == packed && bytes.u32(at + 8) == size
    }
    if bytes.count == 16, bytes.u32(0) == 0x0807_4b50, says(4) { return 16 }
    guard says(0) else { throw PacketError(.badZip, "an entry of which the zip says two things") }
    return 12
  }
}

extension [UInt8] {
  /// Two bytes, the lower first.
  func u16(_ at: Int) -> Int { Int(self[at]) | Int(self[at + 1]) << 8 }
  /// Four bytes, the lowest first.
  func u32(_ at: Int) -> Int { u16(at) | u16(at + 2) << 16 }
}
