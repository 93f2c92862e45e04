import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// Identities, drafts and VIDs in Postgres, with the semantics that `IdentityRepository` promises: every creating call may be repeated.
public final class EmbeddedIdentityRepository: IdentityRepository {
  private let pool: Pool
  private let sealer: Sealer
  private let identifiers: IdentifierPools
  private let schemas: BundledIdSchemas
  private let rules: IdentityRules
  private let clock: any WallClock
  /// Rung when a change has left something to be done.
  let followUps = Semaphore()
  private let taken = Atomic<Int>(0)
  /// So many drafts from one look at the pools to the next.
  private let refillEvery: Int
  private let isFilling = Atomic<Bool>(false)

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
  private func stocked<T: Sendable>(_ step: @escaping @Sendable (Connection) throws -> T) async throws -> T {
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

  private static var boundToAnother: ServiceError {
    IdentityRules.refusal("IDR-IDC-012", "the RID is bound to another identity or another change", .conflict)
  }

  /// One writer for a RID at a time: creating, writing and publishing its draft never interleave.
  private static func lock(_ rid: String, _ connection: Connection) throws {
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

  public func hasDraft(rid: String) async throws -> Bool {
    try await database {
      try await pool.with {
        try !$0.execute("SELECT 1 FROM platform.draft WHERE rid = $1 AND state = 'DRAFTED'", [.text(rid)]).isEmpty
      }
    }
  }

  public func createDraft(rid: String, uin: String?, idempotencyKey: String) async throws {
    let sealer = sealer
    let identifiers = identifiers
    try await stocked { connection in
      try Self.lock(rid, connection)
      let known = try connection.execute("SELECT state, uin_hash FROM platform.draft WHERE rid = $1", [.text(rid)])
      if let row = known.first {
        if let uin, try row.bytes(1) != sealer.hash(uin) { throw Self.boundToAnother }
        // A discarded draft begins anew with its old UIN; a published one stays what it is.
        _ = try connection.execute(
          "UPDATE platform.draft SET state = 'DRAFTED', fields = NULL, changed_at = now() WHERE rid = $1 AND state = 'DISCARDED'",
          [.text(rid)])
        return
      }
      // A RID that changed an identity belongs to that one, and gets no UIN of its own.
      let owner = try connection.execute(
        "SELECT i.uin_hash, i.sealed_uin FROM platform.identity_rid r JOIN platform.identity i USING (uin_hash) WHERE r.rid = $1",
        [.text(rid)]
      ).first
      let bound: (hash: [UInt8], uin: String)
      if let owner {
        let hash = try owner.bytes(0)
        let owned = try sealer.open(try owner.bytes(1), in: SealedColumn.identityUIN.row(hash))
        bound = (hash, String(decoding: owned, as: UTF8.self))
        if let uin, sealer.hash(uin) != bound.hash { throw Self.boundToAnother }
      } else if let uin {
        bound = (sealer.hash(uin), uin)
        guard
          try !connection.execute("SELECT 1 FROM platform.identity WHERE uin_hash = $1", [.bytes(bound.hash)])
            .isEmpty
        else {
          throw ServiceError(
            .notFound, service: "identity repository", code: "IDR-IDC-007", "there is no such identity")
        }
      } else {
        bound = try identifiers.takeUIN(connection)
      }
      _ = try connection.execute(
        "INSERT INTO platform.draft (rid, uin_hash, sealed_uin, state) VALUES ($1, $2, $3, 'DRAFTED')",
        [
          .text(rid), .bytes(bound.hash), .bytes(try sealer.seal(Array(bound.uin.utf8), in: SealedColumn.draftUIN.row(rid))),
        ])
    }
    // Fill up in time, and not within anybody's transaction.
    if taken.add(1, ordering: .relaxed).newValue % refillEvery == 0,
      !isFilling.exchange(true, ordering: .acquiringAndReleasing)
    {
      Task.detached {
        try? await self.prepare()
        self.isFilling.store(false, ordering: .releasing)
      }
    }
  }

  public func updateDraft(
    rid: String, fields: JSONValue, documents: [IdentityDocument], idempotencyKey: String
  ) async throws {
    let sealer = sealer
    try await database {
      try await pool.with { connection in
        try connection.transaction {
          try Self.lock(rid, connection)
          let known = try connection.execute(
            "SELECT state, sealed_uin FROM platform.draft WHERE rid = $1", [.text(rid)])
          guard let row = known.first else {
            throw ServiceError(
              .notFound, service: "identity repository", code: "IDR-IDC-007", "there is no draft of this RID")
          }
          // A repeat after the draft was published changes nothing: the identity is what the first one made it.
          if try row.text(0) == "PUBLISHED" { return }
          guard try row.text(0) == "DRAFTED" else {
            throw ServiceError(
              .notFound, service: "identity repository", code: "IDR-IDC-007", "the draft of this RID was discarded")
          }
          var object = fields.object ?? [:]
          let uin = try sealer.open(try row.bytes(1), in: SealedColumn.draftUIN.row(rid))
          object["UIN"] = .string(String(decoding: uin, as: UTF8.self))
          _ = try connection.execute(
            "UPDATE platform.draft SET fields = $2, changed_at = now() WHERE rid = $1",
            [
              .text(rid),
              .bytes(try sealer.seal(JSONValue.object(object).encoded(), in: SealedColumn.draftFields.row(rid))),
            ])
          for document in documents {
            let place = SealedColumn.draftDocument.row(rid, document.category)
            _ = try connection.execute(
              """
              INSERT INTO platform.draft_document (rid, category, content) VALUES ($1, $2, $3)
              ON CONFLICT (rid, category) DO UPDATE SET content = excluded.content
              """, [.text(rid), .text(document.category), .bytes(try sealer.seal(document.bytes, in: place))])
          }
        }
      }
    }
  }

  public func discardDraft(rid: String) async throws {
    try await database {
      try await pool.with { connection in
        try connection.transaction {
          try Self.lock(rid, connection)
          _ = try connection.execute(
            "UPDATE platform.draft SET state = 'DISCARDED', fields = NULL, changed_at = now() WHERE rid = $1 AND state = 'DRAFTED'",
            [.text(rid)])
          _ = try connection.execute("DELETE FROM platform.draft_document WHERE rid = $1", [.text(rid)])
        }
      }
    }
  }

  public func publishDraft(rid: String, idempotencyKey: String) async throws -> String? {
    let (identifiers, sealer, rules, schemas) = (identifiers, sealer, rules, schemas)
    return try await stocked { connection in
      try Self.lock(rid, connection)
      let known = try connection.execute(
        "SELECT state, uin_hash, sealed_uin, fields FROM platform.draft WHERE rid = $1", [.text(rid)])
      guard let row = known.first else { return nil }
      let hash = try row.bytes(1)
      let state = try row.text(0)
      switch state {
      case "PUBLISHED":
        return try connection.execute("SELECT status FROM platform.identity WHERE uin_hash = $1", [.bytes(hash)])
          .first?.text(0)
      case "DRAFTED": break
      case "DISCARDED": return nil
      default: throw PostgresError.unknownState(state, of: "platform.draft.state")
      }
      guard let drafted = try row.bytesOrNull(3) else {
        throw IdentityRules.refusal("IDR-IDC-002", "the draft has no identity yet")
      }
      var object = try JSONValue.parse(try sealer.open(drafted, in: SealedColumn.draftFields.row(rid))).object ?? [:]
      // A draft for an identity that exists changes the fields it names; the others stay.
      if let row = try connection.execute(
        "SELECT fields FROM platform.identity WHERE uin_hash = $1 FOR UPDATE", [.bytes(hash)]
      ).first {
        let old = try JSONValue.parse(try sealer.open(try row.bytes(0), in: SealedColumn.identityFields.row(hash))).object ?? [:]
        object = IdentityMerge.merged(object, over: old)
        try Self.count(IdentityMerge.changed(from: old, to: object), of: hash, rules, connection)
      }
      // Published, every identity must be one that could be new.
      try rules.check(object, mandatory: rules.mandatoryForNew, schemas: schemas)
      // What is sealed opens in its own place alone, so all that moves is opened and sealed again.
      let fields = try sealer.seal(JSONValue.object(object).encoded(), in: SealedColumn.identityFields.row(hash))
      let uin = try sealer.open(try row.bytes(2), in: SealedColumn.draftUIN.row(rid))
      let sealedUIN = try sealer.seal(uin, in: SealedColumn.identityUIN.row(hash))
      let status = try connection.execute(
        """
        INSERT INTO platform.identity AS i (uin_hash, sealed_uin, rid, status, fields) VALUES ($1, $2, $3, 'ACTIVATED', $4)
        ON CONFLICT (uin_hash) DO UPDATE SET rid = excluded.rid, fields = excluded.fields, changed_at = now() RETURNING status
        """, [.bytes(hash), .bytes(sealedUIN), .text(rid), .bytes(fields)]
      ).only().text(0)
      _ = try connection.execute(
        "INSERT INTO platform.identity_rid (rid, uin_hash) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [.text(rid), .bytes(hash)])
      try Self.moveDocuments(rid, to: hash, sealer, connection)
      _ = try connection.execute("DELETE FROM platform.draft_document WHERE rid = $1", [.text(rid)])
      _ = try connection.execute(
        "UPDATE platform.draft SET state = 'PUBLISHED', fields = NULL, changed_at = now() WHERE rid = $1",
        [.text(rid)])
      let owned = try connection.execute(
        "SELECT 1 FROM platform.vid WHERE uin_hash = $1 AND type = 'PERPETUAL' AND status = 'ACTIVE'",
        [.bytes(hash)])
      if owned.isEmpty { _ = try identifiers.takeVID(connection, owner: hash, type: "PERPETUAL") }
      return status
    }
  }

  private static func moveDocuments(_ rid: String, to hash: [UInt8], _ sealer: Sealer, _ connection: Connection) throws {
    let categories = try connection.execute(
      "SELECT category FROM platform.draft_document WHERE rid = $1 ORDER BY category", [.text(rid)])
    // One at a time: documents are large.
    for category in try categories.map({ try $0.text(0) }) {
      let row = try connection.execute(
        "SELECT content FROM platform.draft_document WHERE rid = $1 AND category = $2", [.text(rid), .text(category)])
      let content = try sealer.open(try row.only().bytes(0), in: SealedColumn.draftDocument.row(rid, category))
      let place = SealedColumn.identityDocument.row(hash, Array(category.utf8))
      _ = try connection.execute(
        """
        INSERT INTO platform.identity_document (uin_hash, category, content) VALUES ($1, $2, $3)
        ON CONFLICT (uin_hash, category) DO UPDATE SET content = excluded.content
        """, [.bytes(hash), .text(category), .bytes(try sealer.seal(content, in: place))])
    }
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
  private static func count(
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
