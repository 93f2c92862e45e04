import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// Drafts of identities.
extension EmbeddedIdentityRepository {
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
}
