import System
import Testing

@testable import EmbeddedPlatform
@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct PacketCacheTests {
  /// A sub-packet as JSON that packs well, which all of a registration client is.
  private func subPacket(_ number: Int, members: Int) throws -> (part: SubPacket, packed: Int) {
    let people = (0..<members).map { #"{"language":"eng","value":"the name of a place \#($0) and some more"}"# }
    let id = #"{"identity":{"places":[\#(people.joined(separator: ","))]}}"#
    let zip = try ZipArchive.write(
      [
        ZipEntry(name: "ID.json", content: Array(id.utf8)),
        ZipEntry(name: "packet_meta_info.json", content: Array(#"{"identity":{"number":\#(number)}}"#.utf8)),
      ], at: Instant(milliseconds: 0))
    let info = try SubPacketInfo(metadata: ["signature": "AQID", "encryptedhash": "AQID"])
    return (try SubPacket(name: .id, info: info, zip: zip), zip.count)
  }

  @Test func `what is kept is counted as it is in memory and not as it was stored`() throws {
    let limit = 4 << 20
    let cache = PacketCache(limit: limit)
    var (packed, held) = (0, 0)
    for number in 0..<60 {
      let (part, size) = try subPacket(number, members: 2000)
      packed = size
      held = part.bytesInMemory
      // The file itself, and each value of it once more.
      #expect(held > part.size(of: "ID")! * 2)
      cache.put(
        try PacketCache.Key(content: MemorySource([]), path: "\(number)", metadata: [:]),
        PacketCache.Entry(part: part, findings: [], isSmall: true))
    }
    #expect(packed * 20 < held, "it packs well: \(packed) to \(held)")
    #expect(cache.count >= 2 && cache.count * held <= limit)
  }

  @Test func `of large ones as many are kept as may have a file open`() throws {
    let cache = PacketCache(limit: 64 << 20)
    let (part, _) = try subPacket(1, members: 1)
    for number in 0..<40 {
      cache.put(
        try PacketCache.Key(content: MemorySource([]), path: "\(number)", metadata: [:]),
        PacketCache.Entry(part: part, findings: [], isSmall: false))
    }
    #expect(cache.count == 16)
  }
}
