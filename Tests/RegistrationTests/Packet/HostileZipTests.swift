import System
import Testing

@testable import Registration

@Suite("Hostile zips", .timeLimit(.minutes(10))) struct HostileZipTests {
  private func refusal(_ zip: [UInt8], flat: Bool = false) -> PacketError.Code? {
    code { try ZipArchive.read(zip, limits: ZipLimits(), flat: flat) }
  }

  /// An honest zip with packed and stored entries.
  private func honest() throws -> [UInt8] {
    var out: [UInt8] = []
    let writer = ZipWriter(at: Instant(iso: "2024-02-29T23:59:59.123Z")!) { out.append(contentsOf: $0) }
    try writer.add("packed") { put in try [UInt8](repeating: 65, count: 3000).withUnsafeBytes { try put($0) } }
    try writer.add("small", Array("some text, some text, some text".utf8))
    try writer.add("stored", [1, 2, 3])
    try writer.add("empty", [])
    try writer.finish()
    return out
  }

  private func put32(_ value: Int, at place: Int, in zip: inout [UInt8]) {
    for shift in 0..<4 { zip[place + shift] = UInt8(value >> (8 * shift) & 255) }
  }

  @Test
  func `Each flipped bit of a zip is refused, or changes no more than times, versions and attributes`() throws {
    let zip = try honest()
    let entries = try ZipArchive.read(zip, limits: ZipLimits(), flat: true)
    var refused = 0
    for at in 0..<zip.count {
      for bit in 0..<8 {
        var changed = zip
        changed[at] ^= 1 << bit
        let read: [ZipEntry]
        do { read = try ZipArchive.read(changed, limits: ZipLimits(), flat: true) } catch is PacketError {
          refused += 1
          continue
        }
        #expect(read == entries, "byte \(at), bit \(bit)")
      }
    }
    #expect(refused > zip.count * 4)
  }

  @Test
  func `A zip cut short anywhere is refused`() throws {
    let zip = try honest()
    for count in 0..<zip.count { #expect(refusal(Array(zip[..<count])) != nil, "\(count) bytes") }
  }

  @Test
  func `Bytes before, between and behind the entries are refused: a reader from front to back would see other files`() throws {
    let zip = try honest()
    #expect(refusal([0] + zip) != nil)
    #expect(refusal(zip + [0]) == .badZip)
    #expect(refusal(zip + zip) != nil)
    // One more local file that the directory does not know.
    let start = zip.count - 22 - (Int(zip[zip.count - 10]) | Int(zip[zip.count - 9]) << 8)
    let local = RawZip.make([.init(name: "hidden", content: [7])]).prefix(37)
    var changed = Array(zip[..<start]) + local + zip[start...]
    put32(start + local.count, at: changed.count - 6, in: &changed)
    #expect(refusal(changed) == .hostileZip)
  }

  @Test
  func `Two directory entries over the same bytes are refused: a small file could unpack to anything`() throws {
    var zip = RawZip.make([.init(name: "a", content: [1, 2, 3]), .init(name: "b", content: [1, 2, 3])])
    let second = zip.count - 22 - 47
    put32(0, at: second + 42, in: &zip)
    #expect(refusal(zip) != nil)
  }

  @Test
  func `A zip64, whatever it says of its sizes, is refused by name`() throws {
    let zip = try honest()
    for (place, size) in [(zip.count - 12, 2), (zip.count - 10, 4), (zip.count - 6, 4)] {
      var changed = zip
      for at in place..<place + size { changed[at] = 255 }
      if size == 2 { changed[place - 2...place - 1] = [255, 255] }
      #expect(refusal(changed) == .hostileZip)
    }
    let directory = zip.count - 22 - (Int(zip[zip.count - 10]) | Int(zip[zip.count - 9]) << 8)
    for place in [20, 24, 42] {
      var changed = zip
      put32(0xffff_ffff, at: directory + place, in: &changed)
      #expect(refusal(changed) == .hostileZip)
    }
    // A zip64 end record and its locator in front of an honest end.
    var locator: [UInt8] = [0x50, 0x4b, 6, 7] + [UInt8](repeating: 0, count: 16)
    locator[16] = 1
    #expect(refusal(Array(zip.dropLast(22)) + locator + zip.suffix(22)) == .hostileZip)
  }

  @Test
  func `An entry that unpacks to more or less than it declares is stopped at the declared size`() throws {
    for lie in [1, 2999, 3001, 50 << 20] {
      var zip = try honest()
      let directory = zip.count - 22 - (Int(zip[zip.count - 10]) | Int(zip[zip.count - 9]) << 8)
      // Directory and data descriptor agree on the lie; the descriptor ends 3000 packed bytes' entry.
      let packed = Int(zip[directory + 20]) | Int(zip[directory + 21]) << 8
      put32(lie, at: directory + 24, in: &zip)
      put32(lie, at: 36 + packed + 12, in: &zip)
      #expect(refusal(zip) == .hostileZip, "\(lie)")
    }
  }

  @Test
  func `A wrong CRC is refused, packed or stored`() throws {
    var stored = RawZip.make([.init(name: "a", content: [1, 2, 3])])
    stored[31] ^= 1
    #expect(refusal(stored) == .badZip)
    var zip = try honest()
    let directory = zip.count - 22 - (Int(zip[zip.count - 10]) | Int(zip[zip.count - 9]) << 8)
    let packed = Int(zip[directory + 20]) | Int(zip[directory + 21]) << 8
    zip[directory + 16] ^= 1
    zip[36 + packed + 4] ^= 1
    #expect(refusal(zip) == .badZip)
  }

  @Test
  func `A bomb by count is refused before its entries are looked at`() {
    let zip = RawZip.make((0..<30_000).map { .init(name: "\($0)") })
    #expect(refusal(zip) == .hostileZip)
    // It says it has fewer than its directory holds.
    var lying = zip
    lying[zip.count - 12...zip.count - 9] = [1, 0, 1, 0]
    #expect(refusal(lying) == .hostileZip)
  }

  @Test
  func `A zip in a zip stays a file: nothing unpacks it`() throws {
    let bomb = try ZipArchive.write([ZipEntry(name: "a", content: [UInt8](repeating: 0, count: 4 << 20))], at: .now)
    let outer = try ZipArchive.write([ZipEntry(name: "document.zip", content: bomb)], at: .now)
    #expect(try ZipArchive.read(outer, limits: ZipLimits(), flat: true).map(\.content) == [bomb])
  }

  @Test
  func `A stored entry whose size stands behind it is refused, and so are unknown packings and extra disks`() throws {
    #expect(refusal(RawZip.make([.init(name: "a", flags: 1 << 3)])) == .hostileZip)
    var method = RawZip.make([.init(name: "a")])
    let directory = method.count - 22 - 47
    (method[8], method[directory + 10]) = (12, 12)
    #expect(refusal(method) == .badZip)
    var disks = RawZip.make([.init(name: "a")])
    disks[disks.count - 18] = 1
    #expect(refusal(disks) == .hostileZip)
  }

  @Test(arguments: [
    String(repeating: "[", count: 100_000), #"{"identity":{"a":1,"a":2}}"#,
    #"{"identity":"# + String(repeating: "{\"a\":", count: 100),
    #"{"identity":{"a":1"# + String(repeating: "0", count: 10_000) + "}}", "{\"identity\":{\"a\":\"\u{1}\"}}", "",
    #"{"identity":[]}"#, #"{"identity":{"a":["# + String(repeating: "1,", count: 200_000) + "1]}}",
  ]) func `Hostile JSON in a sub-packet is a named error`(text: String) throws {
    let refusal = code {
      try PacketSamples.subPacket(.id) { entries in
        let place = entries.firstIndex { $0.name == "ID.json" }!
        entries[place].content = Array(text.utf8)
      }
    }
    #expect(refusal == .badEntry)
    #expect(
      code {
        try PacketSamples.subPacket(.id) { entries in
          let place = entries.firstIndex { $0.name == "ID.json" }!
          entries[place].content = Array(#"{"identity":{"a":""#.utf8) + [0xff, 0xfe] + Array(#""}}"#.utf8)
        }
      } == .badEntry)
  }

  @Test
  func `A sequence that names a file again and again is refused at the second time, not read a thousand times`() throws {
    let findings = try PacketSamples.findings(.id) { entries in
      let place = entries.firstIndex { $0.name == "packet_meta_info.json" }!
      let text = String(decoding: entries[place].content, as: UTF8.self)
      let names = String(repeating: "\"ID\",", count: 50_000)
      entries[place].content = Array(text.replacing("\"ID\"", with: names + "\"ID\"").utf8)
    }
    #expect(findings.filter { $0.check == .hashSequence } == [PacketFinding(.hashSequence, .id, "hashSequence1")])
  }

  @Test
  func `A text made to make regular expressions slow is judged at once`() throws {
    let schema = try PacketSamples.schema()
    for part in ["a.", "a@a.", ".", "a"] {
      let text = String(repeating: part, count: 4000 / part.count)
      let began = ContinuousClock.now
      let violations = schema.violations(of: ["email": .string(text), "phone": .string(text)], mandatory: [])
      // Backtracking takes longer than anybody waits.
      #expect(ContinuousClock.now - began < .seconds(60))
      #expect(violations.map(\.path).sorted() == ["identity/email", "identity/phone"], "\(part)")
    }
  }
}
