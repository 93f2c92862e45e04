import CPacketReference
import Cryptography
import JSON
import Registration
import System

/// Packets written and read by this project and by libcrypto and zlib in plain C, for the same files and checks, in turns.
struct PacketBench {
  private let size: Int
  private let rounds: Int
  private let uins: Int

  init(_ options: Options) throws {
    size = try options.number("size", 2_000_000)
    rounds = try options.number("rounds", 15)
    uins = try options.number("uins", 100_000)
  }

  private static let rid = "10001100020000120240229235959"
  private static let refId = "10001_10002"
  private static let schema = """
    {"properties":{"identity":{"properties":{
    "IDSchemaVersion":{"type":"number","fieldCategory":"none"},
    "fullName":{"$ref":"#/definitions/simpleType","fieldCategory":"pvt"},
    "dateOfBirth":{"type":"string","fieldCategory":"pvt"},"phone":{"type":"string","fieldCategory":"pvt"},
    "proofOfIdentity":{"$ref":"#/definitions/documentType","fieldCategory":"pvt"},
    "introducerRID":{"type":"string","fieldCategory":"evidence"}}}}}
    """

  func run() throws {
    let side = try Side()
    defer { side.close() }
    // A scan is packed already; a text is what packing is for. The first is what packets are full of.
    try measure(side, "scan (cannot be packed)", SecureRandom.bytes(size))
    try measure(side, "text (packs to a third)", Self.text(size))
    try measureUINs()
  }

  private func measure(_ side: Side, _ name: String, _ document: [UInt8]) throws {
    let draft = try draft(document)
    // Both sides are held to the same: what either writes, the other reads without a fault.
    let packet = try side.write(draft)
    let parts = try Parts(side.read(packet).contents)
    let reference = try parts.withC { try side.reference($0, $1) }
    let (contents, findings) = try side.read(reference)
    guard findings.isEmpty, contents.verify(schema: nil, mandatory: []).isEmpty else {
      throw BenchError("the packet of the C program is not intact: \(findings)")
    }
    guard try side.referenceRead(packet) == parts.size else { throw BenchError("the C program reads another packet") }

    var figures = Figures()
    for round in 0...rounds {
      // The first round warms caches and the allocator.
      func take(_ path: WritableKeyPath<Figures, [Double]>, _ body: () throws -> Void) throws {
        let began = Machine.threadCPU
        try body()
        if round > 0 { figures[keyPath: path].append(Machine.threadCPU - began) }
      }
      try take(\.write) { _ = try side.write(draft) }
      try parts.withC { list, count in try take(\.referenceWrite) { _ = try side.reference(list, count) } }
      try take(\.streamWrite) { _ = try side.stream(draft) }
      try take(\.read) { try side.check(side.read(packet)) }
      try take(\.referenceRead) { _ = try side.referenceRead(packet) }
      try take(\.streamRead) { try side.check(side.streamed(packet)) }
    }
    say("packet of \(size) bytes, \(name); \(rounds) rounds in turns; processor seconds best / median, ratio C / ours")
    func line(_ what: String, _ ours: [Double], _ theirs: [Double]) {
      say(
        "  \(what)  ours \(fixed(ours.min()!, 4)) / \(fixed(median(ours), 4))  C \(fixed(theirs.min()!, 4)) / \(fixed(median(theirs), 4))"
          + "  ratio \(fixed(theirs.min()! / ours.min()!, 2)) / \(fixed(median(theirs) / median(ours), 2))")
    }
    line("written, in memory     ", figures.write, figures.referenceWrite)
    line("written, piece by piece", figures.streamWrite, figures.referenceWrite)
    line("read, in memory        ", figures.read, figures.referenceRead)
    line("read, piece by piece   ", figures.streamRead, figures.referenceRead)
  }

  private func measureUINs() throws {
    var seconds: [Double] = []
    let rules = UINRules()
    for _ in 1...5 {
      let began = Machine.threadCPU
      let made = try rules.generate(count: uins)
      seconds.append(Machine.threadCPU - began)
      guard Set(made).count == uins, made.allSatisfy({ rules.check($0) == nil }) else { throw BenchError("a UIN that is none") }
    }
    say("\(uins) valid UINs, processor seconds: best \(fixed(seconds.min()!, 3)), median \(fixed(median(seconds), 3))")
  }

  private func draft(_ document: [UInt8]) throws -> PacketDraft {
    var draft = PacketDraft(
      rid: Self.rid, source: "OPENCRVS", process: "OPENCRVS_NEW", refId: Self.refId, schemaVersion: "0.1",
      schema: try IdSchema(json: Array(Self.schema.utf8)),
      fields: ["fullName": [["language": "eng", "value": "Asha Rao"]], "dateOfBirth": "2024/02/29", "phone": "9898989898"],
      metaInfo: ["metaData": [["label": "centerId", "value": "10001"]]], audits: [["eventId": "OPENCRVS_CREATE_PACKET"]],
      creationDate: .now)
    draft.documents["proofOfIdentity"] = PacketDocument(content: document, type: "DOC001", format: "pdf")
    return draft
  }

  /// Words of a few letters, with line ends: what a deflater makes a third of.
  private static func text(_ size: Int) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(size + 16)
    let random = SecureRandom.bytes(size / 4 + 16)
    for byte in random where out.count < size {
      out += "word\(byte & 63) ".utf8
      if byte > 250 { out.append(10) }
    }
    return Array(out.prefix(size))
  }

  private struct Figures {
    var write: [Double] = []
    var referenceWrite: [Double] = []
    var streamWrite: [Double] = []
    var read: [Double] = []
    var referenceRead: [Double] = []
    var streamRead: [Double] = []
  }

  /// The files of a packet as the C program takes them.
  private struct Parts {
    private var parts: [(name: String, files: [(name: String, bytes: [UInt8], hash: Int32)])] = []
    /// Bytes of all files.
    var size: Int { parts.reduce(0) { $0 + $1.files.reduce(0) { $0 + $1.bytes.count } } }

    init(_ contents: PacketContents) throws {
      for name in SubPacketName.allCases {
        guard let part = contents.subPackets[name] else { throw BenchError("a packet without \(name)") }
        parts.append(
          (
            name.rawValue,
            part.fileNames.map { file in
              let stem = String(file.prefix { $0 != "." })
              let hash: Int32 = stem == "audit" ? 2 : stem.hasPrefix("packet_") ? 0 : 1
              return (file, part.file(stem) ?? [], hash)
            }
          ))
      }
    }

    /// Gives all of it at addresses that stay.
    func withC<T>(_ body: (UnsafePointer<packet_part>, Int) throws -> T) throws -> T {
      var owned: [UnsafeMutableRawPointer] = []
      defer { for memory in owned { memory.deallocate() } }
      func copy(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes.count + 1, alignment: 16)
        bytes.withUnsafeBytes { if $0.count > 0 { memory.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
        memory.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
        owned.append(memory)
        return memory
      }
      func text(_ text: String) -> UnsafePointer<CChar> {
        UnsafePointer(copy(Array(text.utf8)).assumingMemoryBound(to: CChar.self))
      }
      let list = UnsafeMutablePointer<packet_part>.allocate(capacity: parts.count)
      defer { list.deallocate() }
      for (at, part) in parts.enumerated() {
        let files = UnsafeMutablePointer<packet_file>.allocate(capacity: part.files.count)
        owned.append(UnsafeMutableRawPointer(files))
        for (at, file) in part.files.enumerated() {
          (files + at).initialize(
            to: packet_file(
              name: text(file.name), bytes: UnsafePointer(copy(file.bytes).assumingMemoryBound(to: UInt8.self)),
              size: file.bytes.count, hash: file.hash))
        }
        (list + at).initialize(to: packet_part(name: text(part.name), files: files, count: part.files.count))
      }
      return try body(list, parts.count)
    }
  }

  /// Both programs with the same keys.
  private final class Side {
    private let keys: LocalPacketKeys
    private let writer: PacketFileWriter
    private let reader: PacketFileReader
    private let c: OpaquePointer
    /// Runs our async code on this very thread.
    private let here = CallingThread()

    init() throws {
      let (decryption, signing) = (try RSAPrivateKey.generate(), try RSAPrivateKey.generate())
      let certificate = try Certificate.selfSigned(for: decryption, commonName: "bench")
      keys = LocalPacketKeys(certificate: certificate, decryptionKey: decryption, signingKey: signing)
      writer = PacketFileWriter(certificate: certificate, signingKey: signing)
      reader = PacketFileReader(key: decryption, thumbprint: certificate.thumbprint, signers: [signing.publicKey])
      let der = certificate.der
      guard let c = packet_keys_open(der, der.count, try decryption.pem(), try signing.pem()) else {
        throw BenchError("the C program cannot read the keys")
      }
      self.c = c
    }

    func close() { packet_keys_close(c) }

    func write(_ draft: PacketDraft) throws -> [UInt8] {
      let writer = PacketWriter(keys: keys)
      return try here.run { await Result.of { try await writer.write(draft).content } }.get()
    }

    func stream(_ draft: PacketDraft) throws -> Int {
      var out: [UInt8] = []
      return try writer.write(draft) { out.append(contentsOf: $0) }.size
    }

    func read(_ packet: [UInt8]) throws -> (contents: PacketContents, findings: [PacketFinding]) {
      let reader = PacketReader(keys: keys)
      return try here.run { await Result.of { try await reader.inspect(packet, refId: PacketBench.refId) } }.get()
    }

    func streamed(_ packet: [UInt8]) throws -> (contents: PacketContents, findings: [PacketFinding]) {
      let opened = try reader.open(MemorySource(packet), refId: PacketBench.refId)
      return (opened.contents, opened.findings)
    }

    /// All hashes, as a validator checks them.
    func check(_ read: (contents: PacketContents, findings: [PacketFinding])) throws {
      guard read.findings.isEmpty, read.contents.verify(schema: nil, mandatory: []).isEmpty else {
        throw BenchError("a packet that is not intact")
      }
    }

    func reference(_ parts: UnsafePointer<packet_part>, _ count: Int) throws -> [UInt8] {
      let made: (UnsafeMutablePointer<UInt8>, Int)? = PacketBench.rid.withCString { rid in
        "OPENCRVS".withCString { source in
          "OPENCRVS_NEW".withCString { process in
            PacketBench.refId.withCString { refId in
              "2024-02-29T23:59:59.123Z".withCString { time in
                var about = packet_about(rid: rid, source: source, process: process, ref_id: refId, time: time)
                var bytes: UnsafeMutablePointer<UInt8>?
                var size = 0
                guard packet_reference_write(c, &about, parts, count, &bytes, &size) == 0, let bytes else { return nil }
                return (bytes, size)
              }
            }
          }
        }
      }
      guard let made else { throw BenchError("the C program cannot write a packet") }
      defer { packet_reference_free(made.0) }
      // This copy is none of the C program's; it costs it a fraction of a millisecond.
      return Array(UnsafeBufferPointer(start: made.0, count: made.1))
    }

    func referenceRead(_ packet: [UInt8]) throws -> Int {
      var content = 0
      guard packet_reference_read(c, packet, packet.count, &content) == 0 else {
        throw BenchError("the C program cannot read a packet")
      }
      return content
    }
  }
}

extension Result where Failure == any Error, Success: Sendable {
  fileprivate static func of(_ body: () async throws -> Success) async -> Self {
    do { return .success(try await body()) } catch { return .failure(error) }
  }
}
