import JSON
import Testing

@testable import Registration

@Suite("Checking packets", .timeLimit(.minutes(10))) struct PacketVerificationTests {
  func findings(_ name: SubPacketName = .id, _ change: (inout [ZipEntry]) -> Void) throws -> [String] {
    try PacketSamples.findings(name, change).map(\.description)
  }

  func replace(_ name: String, _ old: String, _ new: String, in entries: inout [ZipEntry]) {
    let i = entries.firstIndex { $0.name == name }!
    let text = String(decoding: entries[i].content, as: UTF8.self)
    entries[i].content = Array(text.split(separator: old, omittingEmptySubsequences: false).joined(separator: new).utf8)
  }

  @Test
  func `An unchanged packet passes`() throws {
    #expect(try findings { _ in } == [])
  }

  @Test
  func `A missing hash file fails, in every sub-packet that must have it`() throws {
    for name in SubPacketName.allCases {
      #expect(
        try findings(name) { $0.removeAll { $0.name == "packet_data_hash.txt" } } == [
          "\(name.rawValue): hash-file: packet_data_hash"
        ])
    }
    #expect(
      try findings { $0.removeAll { $0.name == "packet_operations_hash.txt" } } == [
        "id: hash-file: packet_operations_hash"
      ])
  }

  @Test
  func `A file that is listed but missing or empty fails`() throws {
    #expect(try findings { $0.removeAll { $0.name == "proofOfAddress.pdf" } } == ["id: listed-file: proofOfAddress"])
    #expect(try findings { $0.removeAll { $0.name == "audit.json" } } == ["id: listed-file: audit"])
    #expect(
      try findings { entries in
        let i = entries.firstIndex { $0.name == "proofOfIdentity.pdf" }!
        entries[i].content = []
      } == ["id: listed-file: proofOfIdentity"])
  }

  @Test
  func `A changed document, identity, audit or hash fails the hash that covers it`() throws {
    for file in ["proofOfAddress.pdf", "packet_data_hash.txt"] {
      #expect(
        try findings { entries in
          let i = entries.firstIndex { $0.name == file }!
          entries[i].content[0] ^= 1
        } == ["id: data-hash"])
    }
    #expect(try findings { replace("ID.json", "2024/02/29", "2023/02/28", in: &$0) } == ["id: data-hash"])
    #expect(try findings { replace("audit.json", "CREATE", "DELETE", in: &$0) } == ["id: operations-hash"])
  }

  @Test
  func `A file that no sequence lists fails, for no hash covers it`() throws {
    #expect(
      try findings { $0.append(ZipEntry(name: "proofOfRelationship.pdf", content: [1])) } == [
        "id: unlisted-file: proofOfRelationship"
      ])
    let found = try findings { replace("packet_meta_info.json", #""ID""#, #""proofOfIdentity""#, in: &$0) }
    // The sequence now names a document twice.
    #expect(found == ["id: hash-sequence: hashSequence1", "id: unlisted-file: ID"])
  }

  @Test
  func `A missing sequence or another RID in the meta information fails`() throws {
    #expect(
      try findings { replace("packet_meta_info.json", "hashSequence2", "other", in: &$0) } == [
        "id: hash-sequence: hashSequence2", "id: unlisted-file: audit",
      ])
    #expect(
      try findings(.optional) { replace("packet_meta_info.json", PacketSamples.rid, "1", in: &$0) } == [
        "optional: registration-id"
      ])
  }

  @Test
  func `A packet without one of its sub-packets fails`() throws {
    let contents = PacketContents(rid: PacketSamples.rid, source: "a", processName: "b", subPackets: [:])
    #expect(
      contents.verify(schema: nil, mandatory: []).map(\.description) == [
        "evidence: sub-packet", "optional: sub-packet", "id: sub-packet", "id: schema-version",
      ])
  }

  @Test
  func `A sub-packet without ID.json or meta information, or with two of them, cannot be read`() throws {
    for file in ["ID.json", "packet_meta_info.json"] {
      #expect(code { try PacketSamples.subPacket(.id) { $0.removeAll { $0.name == file } } } == .badEntry)
      #expect(
        code { try PacketSamples.subPacket(.id) { replace(file, "identity", "other", in: &$0) } } == .badEntry)
    }
    #expect(
      code { try PacketSamples.subPacket(.id) { $0.append(ZipEntry(name: "id.xml", content: [1])) } } == .hostileZip)
    #expect(
      code { try PacketSamples.subPacket(.id) { $0.append(ZipEntry(name: "a/ID.json", content: [1])) } } == .hostileZip)
  }
}
