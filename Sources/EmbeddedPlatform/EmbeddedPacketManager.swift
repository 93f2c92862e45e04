import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// The packet manager over the object store: sub-packets are fetched, checked, decrypted and read in this process, large ones piece by piece.
public struct EmbeddedPacketManager: PacketManager {
  /// The account that packets are stored under (docs/upstream/packet-and-crypto.md#110-names-in-the-object-store).
  public static let account = "packet-manager"

  private let objects: any ObjectStore
  private let keys: any PacketKeys
  private let schemas: any IdSchemaSource
  private let rules: IdObjectRules
  private let pool: Pool
  private let cache: PacketCache
  private let blocking: BlockingPool

  /// A packet manager.
  /// - Parameters:
  ///   - blocking: the threads that large packets are read on.
  ///   - rules: how identities are checked beside the schema.
  public init(
    objects: any ObjectStore, keys: any PacketKeys, schemas: any IdSchemaSource, pool: Pool, blocking: BlockingPool,
    rules: IdObjectRules = .mosip
  ) {
    self.blocking = blocking
    self.rules = rules
    self.objects = objects
    self.keys = keys
    self.schemas = schemas
    self.pool = pool
    cache = PacketCache(limit: 64 << 20)
  }

  public func fields(_ names: [String], of packet: PacketReference) async throws -> [String: String] {
    try await read(packet).contents.searchFields(names)
  }

  public func allFields(of packet: PacketReference) async throws -> [String: String] {
    let contents = try await read(packet).contents
    var names: Set<String> = []
    for part in contents.subPackets.values { for member in part.identity { names.insert(member.key) } }
    return contents.searchFields(names.sorted())
  }

  public func metaInfo(of packet: PacketReference) async throws -> [String: String] {
    var out: [String: String] = [:]
    for member in try await read(packet).contents.metaInfo where member.value != .null {
      out[member.key] = member.value.string ?? String(decoding: member.value.encoded(), as: UTF8.self)
    }
    return out
  }

  public func audits(of packet: PacketReference) async throws -> [[String: String]] {
    try await read(packet).contents.audits.map { object in
      var out: [String: String] = [:]
      for member in object { out[member.key] = member.value.string }
      return out
    }
  }

  public func document(_ name: String, of packet: PacketReference) async throws -> PacketDocument? {
    try await read(packet).contents.document(name)
  }

  public func biometrics(_ person: String, of packet: PacketReference) async throws -> BiometricRecord? {
    guard let file = try await read(packet).contents.biometrics(person) else { return nil }
    do { return try CBEFF.read(file, by: .schema) } catch {
      throw ServiceError(.refused, service: "packet manager", code: ServiceError.badBiometrics, error.message)
    }
  }

  public func validate(_ packet: PacketReference) async throws -> [PacketProblem] {
    let (contents, findings) = try await open(packet)
    let version = contents.schemaVersion ?? "0.1"
    let schema = try await schemas.schema(version: version)
    let mandatory = rules.mandatory(packet.process)
    let strictness = rules.strictness
    let inside =
      contents.isSmall
      ? contents.verify(schema: schema, mandatory: mandatory ?? [], strictness: strictness)
      : try await blocking.run { contents.verify(schema: schema, mandatory: mandatory ?? [], strictness: strictness) }
    var all = findings + inside
    if mandatory == nil {
      all.append(PacketFinding(.schema, .id, "no mandatory attributes are set for the process \(packet.process)"))
    }
    if schema == nil { all.append(PacketFinding(.schemaVersion, .id, "no id schema of version \(version)")) }
    return all.map { PacketProblem(code: $0.check == .schema ? "KER-IOV-004" : "KER-PUT-019", message: $0.description) }
  }

  public func tags(of rid: String, named names: [String]?) async throws -> [String: String] {
    try await database {
      try await pool.with { connection in
        var out: [String: String] = [:]
        for row in try connection.execute("SELECT name, value FROM platform.tag WHERE rid = $1", [.text(rid)]) {
          out[try row.text(0)] = try row.text(1)
        }
        guard let names else { return out }
        return out.filter { names.contains($0.key) }
      }
    }
  }

  public func addOrUpdateTags(of rid: String, _ tags: [String: String]) async throws {
    guard !tags.isEmpty else { return }
    let rows = tags.sorted { $0.key < $1.key }
    try await database {
      try await pool.with { connection in
        _ = try connection.execute(
          """
          INSERT INTO platform.tag (rid, name, value) SELECT $1, name, value FROM unnest($2::text[], $3::text[]) AS d(name, value)
          ON CONFLICT (rid, name) DO UPDATE SET value = excluded.value
          """, [.text(rid), .textArray(rows.map(\.key)), .textArray(rows.map(\.value))])
      }
    }
  }

  public func deleteTags(of rid: String, named names: [String]) async throws {
    try await database {
      try await pool.with { connection in
        _ = try connection.execute(
          "DELETE FROM platform.tag WHERE rid = $1 AND name = ANY($2::text[])", [.text(rid), .textArray(names)])
      }
    }
  }

  // MARK: reading

  /// A packet that can be trusted: every signature and hash fits.
  private func read(_ packet: PacketReference) async throws -> (contents: PacketContents, findings: [PacketFinding]) {
    let opened = try await open(packet)
    if let first = opened.findings.first {
      throw ServiceError(.refused, service: "packet manager", code: "KER-PUT-019", "the packet is not intact: \(first)")
    }
    return opened
  }

  private func open(_ packet: PacketReference) async throws -> (contents: PacketContents, findings: [PacketFinding]) {
    let names = try await objects.keys(account: Self.account, container: packet.rid, prefix: packet.source.map { $0 + "/" } ?? "")
    var found: (source: String, processName: String)?
    for processName in packet.processNames where found == nil {
      let suffix = "/\(processName)/\(packet.rid)_id"
      found = names.first { $0.hasSuffix(suffix) }?.split(separator: "/").first.map { (String($0), processName) }
    }
    guard let (source, processName) = found else {
      throw ServiceError(.notFound, service: "packet manager", code: "KER-PUT-027", "the packet is not in the packet store")
    }
    let reader = PacketReader(keys: keys)
    var parts: [SubPacketName: SubPacket] = [:]
    var findings: [PacketFinding] = []
    for name in SubPacketName.allCases {
      let key = "\(source)/\(processName)/\(packet.rid)_\(name.rawValue)"
      guard
        let content = try await objects.source(account: Self.account, container: packet.rid, key: key),
        let metadata = try await objects.metadata(account: Self.account, container: packet.rid, key: key)
      else {
        throw ServiceError(.notFound, service: "packet manager", code: "KER-PUT-027", "sub-packet \(name.rawValue) is missing")
      }
      func read() async throws -> PacketCache.Entry {
        let identity = try PacketCache.Key(content: content, path: packet.rid + "/" + key, metadata: metadata)
        if let known = cache.get(identity) { return known }
        let info = try SubPacketInfo(metadata: metadata)
        let (part, found) = try await reader.inspect(
          PacketReader.Part(name: name, info: info, content: content, path: key), rid: packet.rid, source: source,
          processName: processName, refId: info.refId)
        let entry = PacketCache.Entry(part: part, findings: found, isSmall: content.isSmall)
        cache.put(identity, entry)
        return entry
      }
      do {
        let entry = content.isSmall ? try await read() : try await withTaskExecutorPreference(blocking) { try await read() }
        parts[name] = entry.part
        findings += entry.findings
      } catch let error as PacketError {
        throw ServiceError(.refused, service: "packet manager", code: "KER-PUT-019", error.description)
      } catch let error as ServiceError where error.code.hasPrefix("KER-CRY") {
        throw ServiceError(.refused, service: "packet manager", code: "KER-PUT-019", error.message)
      } catch let error as ByteSourceError {
        throw ServiceError(.unavailable, service: "packet manager", code: "KER-PUT-019", error.description)
      }
    }
    return (PacketContents(rid: packet.rid, source: source, processName: processName, subPackets: parts), findings)
  }
}

/// Opened sub-packets, by what was stored: six stages read the same packet one after another. The oldest leave when the limit is reached.
final class PacketCache: Sendable {
  struct Key: Hashable, Sendable {
    let digest: [UInt8]
    init(content: any ByteSource, path: String, metadata: [String: String]) throws {
      var hasher = HashStreamOf()
      try content.forEachPiece { hasher.add($0) }
      hasher.add(Array(path.utf8))
      for (name, value) in metadata.sorted(by: { $0.key < $1.key }) { hasher.add(Array("\(name)=\(value);".utf8)) }
      digest = hasher.finish()
    }
  }
  struct Entry: Sendable {
    var part: SubPacket
    var findings: [PacketFinding]
    /// What it takes up in memory: files are unpacked and JSON is read, so the size of what is stored says nothing of it.
    var size: Int

    init(part: SubPacket, findings: [PacketFinding], isSmall: Bool) {
      (self.part, self.findings) = (part, findings)
      // A large one keeps a file open besides: few of them fit.
      size = max(part.bytesInMemory, isSmall ? 0 : 4 << 20)
    }
  }
  private struct State {
    var entries: [Key: Entry] = [:]
    var order: [Key] = []
    var size = 0
  }
  private let state = Mutex(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// How many are kept.
  var count: Int { state.withLock { $0.entries.count } }

  func get(_ key: Key) -> Entry? { state.withLock { $0.entries[key] } }

  func put(_ key: Key, _ entry: Entry) {
    guard entry.size <= limit / 4 else { return }
    state.withLock { state in
      guard state.entries.updateValue(entry, forKey: key) == nil else { return }
      state.order.append(key)
      state.size += entry.size
      while state.size > limit, !state.order.isEmpty {
        if let old = state.entries.removeValue(forKey: state.order.removeFirst()) { state.size -= old.size }
      }
    }
  }
}
