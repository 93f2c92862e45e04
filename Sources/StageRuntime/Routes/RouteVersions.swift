import JSON
import Postgres
import Registration
import Routing
import StageKit
import Synchronization
import System

/// The versions of the route file that were ever in force, in the database by their digest. Packets of a flow with `pin: true` finish on
/// the one that they began with.
///
/// Which one that is says the journal: the digest of the first hop of the packet's run. So nothing has to travel with the message, and it
/// holds for a packet that passed stages of others as well. A replay is a new run and begins with the version then in force. Whether a
/// flow is pinned says the version in force: taking `pin` out lets all its packets go on by the new version.
final class RouteVersions: Sendable {
  /// What a packet's first hop is found by.
  struct Packet: Sendable, Hashable {
    var rid: String
    var process: String
    var iteration: Int
    var run: Int

    init(_ message: Message, run: Int) {
      (rid, process, iteration, self.run) = (message.rid, message.process, message.iteration, run)
    }
  }

  /// By what a packet is routed.
  enum Version: Sendable {
    /// By the version in force: the packet began with it, begins here, or began before versions were kept.
    case inForce
    /// By the one it began with.
    case kept(RouteFile)
    /// By one that is kept and cannot be read.
    case unreadable(digest: String)
  }

  /// Why a packet of such a version becomes a dead letter (RPR-RTE-003).
  static func unreadable(_ digest: String) -> String {
    "the version \(digest) of the route file, which the packet began with, cannot be read any more"
  }

  private let pool: Pool
  private let stages: StageDirectory
  /// Those that were read; nil for one that cannot be.
  private let known = Mutex<[String: RouteFile?]>([:])

  /// Versions in a database; `stages` are those that are installed.
  init(pool: Pool, stages: StageDirectory) {
    self.pool = pool
    self.stages = stages
  }

  /// Keeps a version. It must be kept before anything is routed by it.
  func keep(_ routes: RouteFile) async throws { try await pool.with { try Self.keep(routes, on: $0) } }

  static func keep(_ routes: RouteFile, on connection: Connection) throws {
    var prefixes: JSONObject = [:]
    let foreign = Set(routes.foreign.map(\.name))
    for name in routes.flows.flatMap({ $0.stages.map(\.name.value) + $0.omitted.map(\.value) }) where !foreign.contains(name) {
      prefixes[name] = .string(routes.stages.topicPrefix(of: name))
    }
    _ = try connection.execute(
      """
      INSERT INTO regproc.route_version (digest, name, routes, stages) VALUES ($1, $2, $3, $4::text::jsonb)
      ON CONFLICT (digest) DO NOTHING
      """,
      [
        .text(routes.digest), .text(routes.name), .text(RouteWriter.text(routes)),
        .text(String(decoding: JSONValue.object(prefixes).encoded(), as: UTF8.self)),
      ])
  }

  /// By what a packet of a pinned flow is routed.
  func version(of packet: Packet, in force: RouteFile) async throws -> Version {
    try await pool.with { try self.version(of: packet, in: force, on: $0) }
  }

  func version(of packet: Packet, in force: RouteFile, on connection: Connection) throws -> Version {
    let first = try connection.execute(
      """
      SELECT route_digest FROM regproc.hop WHERE rid = $1 AND process = $2 AND iteration = $3 AND run = $4
        AND route_digest IS NOT NULL ORDER BY done_at, decided_at LIMIT 1
      """, [.text(packet.rid), .text(packet.process), .int(packet.iteration), .int(packet.run)])
    guard let digest = try first.first?.text(0), digest != force.digest else { return .inForce }
    return try version(digest, on: connection)
  }

  /// The version of a digest; `inForce` for one that was never kept.
  func version(_ digest: String, on connection: Connection) throws -> Version {
    if let known = known.withLock({ $0[digest] }) { return known.map { .kept($0) } ?? .unreadable(digest: digest) }
    let row = try connection.execute(
      "SELECT name, routes, stages::text FROM regproc.route_version WHERE digest = $1", [.text(digest)]
    ).first
    guard let row else { return .inForce }
    let routes = try read(name: row.text(0), text: row.text(1), prefixes: row.text(2), digest: digest)
    known.withLock { $0[digest] = .some(routes) }
    return routes.map { .kept($0) } ?? .unreadable(digest: digest)
  }

  private func read(name: String, text: String, prefixes: String, digest: String) throws -> RouteFile? {
    var directory = stages
    if case .object(let prefixes) = try JSONValue.parse(Array(prefixes.utf8)) {
      directory = directory.adding(
        prefixes.filter { stages[$0.key] == nil }.map { StageDirectory.Entry($0.key, topicPrefix: $0.value.string) })
    }
    let routes = RouteFile.read(Array(text.utf8), name: name, stages: directory).file
    return routes?.digest == digest ? routes : nil
  }
}
