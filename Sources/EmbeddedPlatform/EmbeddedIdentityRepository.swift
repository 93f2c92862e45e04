import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// Identities, drafts and VIDs in Postgres, with the semantics that `IdentityRepository` promises: every creating call may be repeated.
public final class EmbeddedIdentityRepository: IdentityRepository {
  let pool: Pool
  let sealer: Sealer
  let identifiers: IdentifierPools
  let schemas: BundledIdSchemas
  let rules: IdentityRules
  private let clock: any WallClock
  /// Rung when a change has left something to be done.
  let followUps = Semaphore()
  let taken = Atomic<Int>(0)
  /// So many drafts from one look at the pools to the next.
  let refillEvery: Int
  let isFilling = Atomic<Bool>(false)

  /// - Parameter clock: gives the times of changes.
  init(
    pool: Pool, sealer: Sealer, schemas: BundledIdSchemas, rules: IdentityRules = IdentityRules(),
    identifiers numbers: IdentifierRules = IdentifierRules(), clock: any WallClock = SystemClock()
  ) {
    self.pool = pool
    self.sealer = sealer
    self.schemas = schemas
    self.rules = rules
    self.clock = clock
    identifiers = IdentifierPools(sealer: sealer, rules: numbers)
    // Often enough that a dozen processes do not empty the last quarter between two looks.
    refillEvery = max(1, min(numbers.uinFill, numbers.vidFill, 2000) / 50)
  }

  /// Makes identifiers ahead, so that nobody waits for the first ones.
  public func prepare() async throws {
    let identifiers = identifiers
    try await database { try await pool.with { try identifiers.fillAhead($0) } }
  }

  /// Runs a step in a transaction. Where it finds a pool empty, its transaction ends, the pool is filled for all, and it begins anew.
  func stocked<T: Sendable>(_ step: @escaping @Sendable (Connection) throws -> T) async throws -> T {
    let identifiers = identifiers
    return try await database {
      // More than once only if others took all that was made.
      for _ in 0..<20 {
        do {
          return try await pool.with { connection in try connection.transaction { try step(connection) } }
        } catch let empty as IdentifierPools.Empty {
          let isFilled = try await pool.with { connection in
            try identifiers.setAside(empty.passed, connection)
            return try identifiers.fillEmpty(empty, connection)
          }
          // A change of the sealing key locks some free UINs for a moment.
          if !isFilled { try await Task.sleep(for: .milliseconds(10)) }
        }
      }
      throw ServiceError(
        .unavailable, service: "identity repository", code: "KER-UIG-001", "identifiers are taken faster than they are made")
    }
  }

  static var boundToAnother: ServiceError {
    IdentityRules.refusal("IDR-IDC-012", "the RID is bound to another identity or another change", .conflict)
  }

  /// One writer for a RID at a time: creating, writing and publishing its draft never interleave.
  static func lock(_ rid: String, _ connection: Connection) throws {
    _ = try connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('draft:' || $1, 0))", [.text(rid)])
  }

  public func identity(_ reference: IdentityReference) async throws -> Identity? {
    let sealer = sealer
    return try await database {
      try await pool.with { connection in
        let columns = "SELECT i.sealed_uin, i.rid, i.status, i.fields, i.uin_hash"
        let table = "FROM platform.identity i"
        let rows: Rows =
          switch reference {
          case .uin(let uin): try connection.execute("\(columns) \(table) WHERE i.uin_hash = $1", [.bytes(sealer.hash(uin))])
          case .vid(let vid):
            try connection.execute(
              """
              \(columns), CASE WHEN v.status = 'ACTIVE' AND v.expires_at <= now() THEN 'EXPIRED' ELSE v.status END
              \(table) JOIN platform.vid v USING (uin_hash) WHERE v.vid = $1
              """, [.text(vid)])
          case .rid(let rid):
            try connection.execute(
              "\(columns) \(table) JOIN platform.identity_rid r USING (uin_hash) WHERE r.rid = $1", [.text(rid)])
          }
        guard let row = rows.first else { return nil }
        if case .vid = reference { try Self.checkVID(status: try row.text(5), ofUIN: try row.text(2)) }
        let hash = try row.bytes(4)
        let uin = try sealer.open(try row.bytes(0), in: SealedColumn.identityUIN.row(hash))
        return Identity(
          uin: String(decoding: uin, as: UTF8.self), rid: try row.text(1), status: try row.text(2),
          fields: try JSONValue.parse(try sealer.open(try row.bytes(3), in: SealedColumn.identityFields.row(hash))))
      }
    }
  }

  /// A VID finds nobody once it is spent, nor while its UIN is not active.
  private static func checkVID(status: String, ofUIN identity: String) throws {
    guard status == "ACTIVE" else { throw IdentityRules.refusal("IDR-VID-001", "VID is \(status)") }
    guard identity == "ACTIVATED" else { throw IdentityRules.refusal("IDR-VID-004", "\(identity) UIN") }
  }

  public func update(uin: String, rid: String, status: String?, fields: JSONValue?, idempotencyKey: String) async throws {
    let (sealer, rules, schemas, clock) = (sealer, rules, schemas, clock)
    if let status, !["ACTIVATED", "BLOCKED", "DEACTIVATED"].contains(status) { throw IdentityRules.invalid("status") }
    try await database {
      try await pool.with { connection in
        try Self.checkTime(clock, connection)
        try connection.transaction {
          try Self.lock(rid, connection)
          let hash = sealer.hash(uin)
          guard
            let row = try connection.execute(
              "SELECT fields, status FROM platform.identity WHERE uin_hash = $1 FOR UPDATE", [.bytes(hash)]
            ).first
          else { throw IdentityRules.unknown }
          // Whatever happened since: a repeat sets nothing back.
          if try Self.isRepeat(rid, of: hash, status, connection) { return }
          let old = try JSONValue.parse(try sealer.open(try row.bytes(0), in: SealedColumn.identityFields.row(hash))).object ?? [:]
          var change = JSONObject()
          for member in fields?.object ?? [:] where !member.value.isNull { change[member.key] = member.value }
          if change["IDSchemaVersion"] == nil { change["IDSchemaVersion"] = old["IDSchemaVersion"] }
          change["UIN"] = .string(uin)
          try rules.check(change, mandatory: IdentityRules.mandatoryForChange, schemas: schemas)
          let new = IdentityMerge.merged(change, over: old)
          try Self.count(IdentityMerge.changed(from: old, to: new), of: hash, rules, connection)
          let before = try row.text(1)
          let after = status ?? before
          _ = try connection.execute(
            "UPDATE platform.identity SET status = $2, fields = $3, rid = $4, changed_at = now() WHERE uin_hash = $1",
            [
              .bytes(hash), .text(after),
              .bytes(try sealer.seal(JSONValue.object(new).encoded(), in: SealedColumn.identityFields.row(hash))), .text(rid),
            ])
          _ = try connection.execute(
            "INSERT INTO platform.identity_rid (rid, uin_hash, is_change, asked_status) VALUES ($1, $2, true, $3)",
            [.text(rid), .bytes(hash), Value(status)])
          var marks: [IdentityFollowUps.Kind] = []
          if before != after { marks.append(after == "ACTIVATED" ? .new : .deleted) }
          if after == "ACTIVATED" { marks.append(.updated) }
          for mark in marks { try mark.mark(hash, rid: rid, connection) }
        }
      }
    }
    followUps.signal()
  }

  /// Whether this RID made this change of this identity already.
  /// - Throws: IDR-IDC-012 for a RID that belongs to something else.
  private static func isRepeat(_ rid: String, of hash: [UInt8], _ status: String?, _ connection: Connection) throws -> Bool {
    if let known = try connection.execute(
      "SELECT uin_hash, is_change, asked_status FROM platform.identity_rid WHERE rid = $1", [.text(rid)]
    ).first {
      let asked = try known.textOrNull(2)
      guard try known.bytes(0) == hash, try known.bool(1), asked == status || asked == "UNKNOWN" else { throw boundToAnother }
      return true
    }
    if let draft = try connection.execute("SELECT uin_hash, state FROM platform.draft WHERE rid = $1", [.text(rid)]).first {
      guard try draft.bytes(0) == hash, try draft.text(1) == "DISCARDED" else { throw boundToAnother }
    }
    return false
  }

  /// The time of a request, which the caller's clock gives, against that of the server, as MOSIP's repository does: here the database's, which
  /// all processes share (docs/upstream/scenarios.md#21-identity-repository-read-and-change).
  private static func checkTime(_ clock: any WallClock, _ connection: Connection) throws {
    let theirs = try connection.execute("SELECT clock_timestamp()").only().instant(0)
    guard abs(Double(clock.now.milliseconds - theirs.milliseconds)) <= IdentityRules.mostDeviation * 1000 else {
      // A matter of clocks, which can be set right.
      var error = IdentityRules.invalid("requesttime")
      error.kind = .unavailable
      throw error
    }
  }

  /// Counts a change of fields.
  /// - Throws: IDR-IDC-013 for a field that was changed as often as it may be.
  static func count(
    _ changed: Set<String>, of hash: [UInt8], _ rules: IdentityRules, _ connection: Connection
  ) throws {
    var exceeded: [String] = []
    for field in changed.sorted() {
      guard let limit = rules.updateLimits[field] else { continue }
      let count = try connection.execute(
        """
        INSERT INTO platform.identity_update_count AS c (uin_hash, field, count) VALUES ($1, $2, 1)
        ON CONFLICT (uin_hash, field) DO UPDATE SET count = c.count + 1 RETURNING count
        """, [.bytes(hash), .text(field)]
      ).only().int(0)
      if count > limit { exceeded.append(field) }
    }
    guard exceeded.isEmpty else {
      throw IdentityRules.refusal(
        "IDR-IDC-013", "Update count limit for the attributes exceeded:- \(exceeded.joined(separator: ","))")
    }
  }

  public func biometrics(uin: String) async throws -> BiometricRecord? {
    let hash = sealer.hash(uin)
    let file = try await database {
      try await pool.with { connection in
        try connection.execute(
          "SELECT content FROM platform.identity_document WHERE uin_hash = $1 AND category = 'individualBiometrics'",
          [.bytes(hash)]
        ).first?.bytes(0)
      }
    }
    guard let file else { return nil }
    let place = SealedColumn.identityDocument.row(hash, Array("individualBiometrics".utf8))
    do { return try CBEFF.read(try sealer.open(file, in: place)) } catch let error as CBEFFError {
      throw IdentityRules.refusal(ServiceError.badBiometrics, error.message)
    }
  }

  public func vids(uin: String) async throws -> [VirtualId] {
    let hash = sealer.hash(uin)
    return try await database {
      try await pool.with { connection in
        try connection.execute(
          "SELECT vid, type, status, expires_at FROM platform.vid WHERE uin_hash = $1 ORDER BY given_at, vid",
          [.bytes(hash)]
        ).map {
          VirtualId(
            vid: try $0.text(0), type: try $0.text(1), status: try $0.text(2), expiresAt: try $0.instantOrNull(3))
        }
      }
    }
  }
}
