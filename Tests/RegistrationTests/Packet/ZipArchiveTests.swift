import System
import Testing

@testable import Registration

/// A zip made by hand, stored without packing, so that it can say what no honest tool would (APPNOTE.TXT 4.3).
struct RawZip {
  struct Entry {
    var name: String
    var content: [UInt8] = [1]
    /// Upper half: Unix mode.
    var attributes: UInt32 = 0
    var declaredSize: Int?
    var localName: String?
    var flags: UInt16 = 0
  }

  static func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = 0xffff_ffff
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xedb8_8320 : 0) }
    }
    return ~crc
  }

  static func make(_ entries: [Entry]) -> [UInt8] {
    var out: [UInt8] = []
    var directory: [UInt8] = []
    func u16(_ value: Int) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8 & 255)] }
    func u32(_ value: Int) -> [UInt8] { u16(value & 0xffff) + u16(value >> 16 & 0xffff) }
    for entry in entries {
      let offset = out.count
      let size = entry.declaredSize ?? entry.content.count
      let middle =
        u16(Int(entry.flags)) + u16(0) + u32(0x5d58_0000) + u32(Int(crc32(entry.content))) + u32(size) + u32(size)
      let local = Array((entry.localName ?? entry.name).utf8)
      out += [0x50, 0x4b, 3, 4] + u16(20) + middle + u16(local.count) + u16(0) + local + entry.content
      let name = Array(entry.name.utf8)
      directory += [0x50, 0x4b, 1, 2] + u16(3 << 8 | 20) + u16(20) + middle + u16(name.count)
      directory += u16(0) + u16(0) + u16(0) + u16(0) + u32(Int(entry.attributes)) + u32(offset) + name
    }
    let start = out.count
    out += directory + [0x50, 0x4b, 5, 6] + u16(0) + u16(0) + u16(entries.count) + u16(entries.count)
    return out + u32(directory.count) + u32(start) + u16(0)
  }
}

@Suite("Zips from outside", .timeLimit(.minutes(10))) struct ZipArchiveTests {
  func refusal(_ entries: [RawZip.Entry], flat: Bool = false, _ limits: ZipLimits = ZipLimits()) -> PacketError.Code? {
    code { try ZipArchive.read(RawZip.make(entries), limits: limits, flat: flat) }
  }

  @Test
  func `A plain zip is read, folders left out`() throws {
    let zip = RawZip.make([
      .init(name: "a/", content: [], attributes: 0o040755 << 16),
      .init(name: "a/ب.txt", content: [1, 2], flags: 1 << 11),
      .init(name: "b", content: [], attributes: 0o100644 << 16),
    ])
    let entries = try ZipArchive.read(zip, limits: ZipLimits(), flat: false)
    #expect(entries.map(\.name) == ["a/ب.txt", "b"])
    #expect(entries.map(\.content) == [[1, 2], []])
  }

  @Test(arguments: [
    "../a", "a/../b", "/a", "a//b", "./a", "a/..", "..", "a\\b", "..\\a", "C:a", "a\u{1}b", "a/./b", "/",
    String(repeating: "a", count: 300),
  ])
  func `Names that lead elsewhere are refused`(name: String) {
    #expect(refusal([.init(name: name)]) == .hostileZip)
  }

  @Test
  func `Two entries of one name, in any letter case, are refused`() {
    #expect([.hostileZip, .badZip].contains(refusal([.init(name: "a"), .init(name: "a")])))
    #expect(refusal([.init(name: "ID.json"), .init(name: "id.JSON")]) == .hostileZip)
  }

  @Test
  func `Links, devices and entries with a password are refused`() {
    #expect(refusal([.init(name: "a", attributes: 0o120777 << 16)]) == .hostileZip)
    #expect(refusal([.init(name: "a", attributes: 0o060600 << 16)]) == .hostileZip)
    #expect([.hostileZip, .badZip].contains(refusal([.init(name: "a", flags: 1)])))
  }

  @Test
  func `A folder in a sub-packet is refused`() {
    #expect(refusal([.init(name: "a/b")], flat: true) == .hostileZip)
    #expect(refusal([.init(name: "b")], flat: true) == nil)
  }

  @Test
  func `Too many, too large and too well packed entries are refused`() throws {
    let limits = ZipLimits(entries: 3, entrySize: 10, totalSize: 15)
    #expect(refusal((0..<3).map { .init(name: "\($0)") }, limits) == nil)
    #expect(refusal((0..<4).map { .init(name: "\($0)") }, limits) == .hostileZip)
    #expect(refusal([.init(name: "a", content: [UInt8](repeating: 1, count: 11))], limits) == .hostileZip)
    #expect(
      refusal(["a", "b"].map { .init(name: $0, content: [UInt8](repeating: 1, count: 8)) }, limits) == .hostileZip)
    let bomb = try ZipArchive.write([ZipEntry(name: "a", content: [UInt8](repeating: 0, count: 4 << 20))], at: .now)
    #expect(bomb.count < 10_000)
    #expect(code { try ZipArchive.read(bomb, limits: ZipLimits(), flat: true) } == .hostileZip)
  }

  @Test
  func `A zip that contradicts itself, is damaged or is none at all is refused`() throws {
    #expect(refusal([.init(name: "a", localName: "b")]) == .badZip)
    #expect([.badZip, .hostileZip].contains(refusal([.init(name: "a", content: [1, 2], declaredSize: 1)])))
    #expect([.badZip, .hostileZip].contains(refusal([.init(name: "a", content: [1, 2], declaredSize: 500)])))
    var zip = RawZip.make([.init(name: "a", content: Array("content".utf8))])
    zip[33] ^= 1
    #expect(code { try ZipArchive.read(zip, limits: ZipLimits(), flat: true) } == .badZip)
    #expect(code { try ZipArchive.read([], limits: ZipLimits(), flat: true) } == .badZip)
    #expect(code { try ZipArchive.read(Array("PK nothing".utf8), limits: ZipLimits(), flat: true) } == .badZip)
  }

  @Test
  func `What is written is read, empty files and other scripts included, in its order`() throws {
    let entries = [
      ZipEntry(name: "b.txt", content: [UInt8]("بيان".utf8)), ZipEntry(name: "a", content: []),
      ZipEntry(name: "dir/é", content: [UInt8](repeating: 65, count: 100_000)),
    ]
    let zip = try ZipArchive.write(entries, at: .now)
    #expect(try ZipArchive.read(zip, limits: ZipLimits(), flat: false) == entries)
  }
}
