import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// What follows the change of an identity: the online verification partner forgets the ids of an identity that is no longer active, gets a
/// credential of one that is active again, and everybody hears that an active one was changed.
///
/// A change leaves its marks in its own transaction, and here they are carried out soon, those of one identity in their order. Several
/// processes may do so at once; what is done twice is one delivery, for each has a key.
final class IdentityFollowUps: Sendable {
  /// What is to be done, by the states of MOSIP's `credential_request_status`.
  enum Kind: String, Sendable {
    /// The identity is no longer active.
    case deleted = "DELETED"
    /// It is active again.
    case new = "NEW"
    /// It was changed and is active.
    case updated = "UPDATED"

    /// Leaves the mark, in the transaction of the change.
    func mark(_ hash: [UInt8], rid: String, _ connection: Connection) throws {
      _ = try connection.execute(
        "INSERT INTO platform.identity_follow_up (uin_hash, kind, rid) VALUES ($1, $2, $3)",
        [.bytes(hash), .text(rawValue), .text(rid)])
    }
  }

  private struct Mark: Sendable {
    var number: Int
    var hash: [UInt8]
    var kind: Kind?
    var rid: String
    var attempt: Int
  }

  private let pool: Pool
  private let sealer: Sealer
  private let hub: any WebSubHub
  private let credentials: any CredentialService
  private let partner: String
  private let clock: any WallClock
  private let bell: Semaphore
  private let ended = Semaphore()
  private let stopping = Atomic<Bool>(false)
  private let isStarted = Atomic<Bool>(false)
  private let log = Log("identity follow-ups")

  /// What a killed process had in hand is another's after so long. A mark takes a few calls to the database.
  private static let leaseSeconds = 10.0
  private static let lookMilliseconds = 3000
  private static let backoff = Backoff(first: 5, longest: 300)
  /// So often what is refused is tried: for some half an hour.
  private static let mostRefusals = 10

  /// - Parameters:
  ///   - partner: the online verification partner.
  ///   - bell: rung when there is something to do.
  init(
    pool: Pool, sealer: Sealer, hub: any WebSubHub, credentials: any CredentialService, partner: String, clock: any WallClock,
    bell: Semaphore
  ) {
    self.pool = pool
    self.sealer = sealer
    self.hub = hub
    self.credentials = credentials
    self.partner = partner
    self.clock = clock
    self.bell = bell
  }

  func start() {
    guard !isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
    OwnedThread.start("follow-ups") {
      while !self.stopping.load(ordering: .acquiring) {
        while self.bell.wait(milliseconds: 0) {}
        blockingAwait { await self.work() }
        _ = self.bell.wait(milliseconds: Self.lookMilliseconds)
      }
      self.ended.signal()
    }
  }

  /// Ends the work; what is in hand finishes. Never call it from a task.
  func stop() {
    guard isStarted.load(ordering: .acquiring), !stopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
    bell.signal()
    ended.wait()
  }

  /// Carries out what is due.
  func work() async {
    do {
      while !stopping.load(ordering: .acquiring), let mark = try await claim() {
        do {
          try await carryOut(mark)
          try await done(mark)
        } catch let fault as Unopened {
          try await setAside(mark, fault)
        } catch let error as ServiceError {
          if !error.isRetriable, mark.attempt >= Self.mostRefusals {
            // What is refused for good must not hold up for ever what follows.
            log.error("what follows a change of an identity is given up", ["kind": mark.kind?.rawValue ?? "", "code": error.code])
            try await done(mark)
            continue
          }
          log.warning("what follows a change of an identity is put off", ["attempt": mark.attempt, "code": error.code])
          try await putOff(mark)
        }
      }
    } catch {
      log.warning("what follows changes of identities cannot be looked for now", ["error": ErrorText.of(error)])
    }
  }

  // MARK: marks

  /// The oldest mark that is due. Of one identity a mark waits for the one before it.
  private func claim() async throws -> Mark? {
    try await pool.with { connection in
      try connection.execute(
        """
        UPDATE platform.identity_follow_up SET leased_until = now() + make_interval(secs => $1) WHERE number = (
          SELECT f.number FROM platform.identity_follow_up AS f
          WHERE f.not_before <= now() AND coalesce(f.leased_until < now(), true) AND f.suspended_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM platform.identity_follow_up AS e WHERE e.uin_hash = f.uin_hash AND e.number < f.number)
          ORDER BY f.number LIMIT 1 FOR UPDATE OF f SKIP LOCKED)
        RETURNING number, uin_hash, kind, rid, attempt
        """, [.double(Self.leaseSeconds)]
      ).first.map {
        Mark(
          number: try $0.int(0), hash: try $0.bytes(1), kind: Kind(rawValue: try $0.text(2)), rid: try $0.text(3),
          attempt: try $0.int(4))
      }
    }
  }

  /// What follows the change of an identity whose number does not open. What comes behind it for this identity waits as well: it would not
  /// open either. If the key's file is missing here alone, another process may do it, so it is only put off.
  private func setAside(_ mark: Mark, _ fault: Unopened) async throws {
    let facts: KeyValuePairs<String, any LogField> = [
      "kind": mark.kind?.rawValue ?? "", "code": fault.code, "error": fault.message, "mark": "follow-up-\(mark.number)",
    ]
    guard fault.isForAll else {
      log.warning("this process cannot open an identity: what follows its change is put off", facts)
      return try await putOff(mark)
    }
    log.error("what follows a change of an identity is suspended: the identity does not open (regproc held list)", facts)
    try await pool.with { connection in
      _ = try connection.execute(
        """
        UPDATE platform.identity_follow_up SET leased_until = NULL, suspended_at = now(), suspended_for = $2 WHERE number = $1
        """, [.int(mark.number), .text(fault.code)])
    }
  }

  private func done(_ mark: Mark) async throws {
    try await pool.with { connection in
      _ = try connection.execute("DELETE FROM platform.identity_follow_up WHERE number = $1", [.int(mark.number)])
    }
  }

  private func putOff(_ mark: Mark) async throws {
    try await pool.with { connection in
      _ = try connection.execute(
        """
        UPDATE platform.identity_follow_up SET leased_until = NULL, attempt = attempt + 1,
          not_before = now() + make_interval(secs => $2) WHERE number = $1
        """, [.int(mark.number), .double(Self.backoff.pause(after: mark.attempt))])
    }
  }

  // MARK: what is done

  private func carryOut(_ mark: Mark) async throws {
    switch mark.kind {
    case .deleted:
      for (place, id) in try await ids(of: mark.hash).enumerated() {
        try await publish(
          "\(partner)/REMOVE_ID", transaction: .null, ["id_hash": .string(idHash(id))], key: "\(mark.number):\(place)")
      }
    case .updated:
      guard let uin = try await ids(of: mark.hash).first else { return }
      try await publish(
        "IDENTITY_UPDATED", transaction: .string(mark.rid),
        ["id_hash": .string(idHash(uin)), "registration_id": .string(mark.rid)], key: "\(mark.number)")
    case .new:
      _ = try await ids(of: mark.hash)
      // Of the person as it is by now; the RID finds it whatever happened since.
      _ = try await credentials.request(
        CredentialRequest(id: mark.rid, credentialType: "auth", issuer: partner, additionalData: [:]),
        idempotencyKey: "identity-follow-up:\(mark.number)")
    case nil: return
    }
  }

  /// The UIN, and then each VID that is active.
  private func ids(of hash: [UInt8]) async throws -> [String] {
    let sealer = sealer
    return try await database {
      try await pool.with { connection in
        guard
          let row = try connection.execute("SELECT sealed_uin FROM platform.identity WHERE uin_hash = $1", [.bytes(hash)]).first
        else { return [] }
        let vids = try connection.execute(
          """
          SELECT vid FROM platform.vid WHERE uin_hash = $1 AND status = 'ACTIVE' AND coalesce(expires_at > now(), true)
          ORDER BY given_at, vid
          """, [.bytes(hash)]
        ).map { try $0.text(0) }
        let uin = try sealer.open(try row.bytes(0), in: SealedColumn.identityUIN.row(hash), of: connection)
        return [String(decoding: uin, as: UTF8.self)] + vids
      }
    }
  }

  /// By a key of ours, so that nobody can try all ids there are.
  private func idHash(_ id: String) -> String { Encoding.upperHex(sealer.hash("id_hash:" + id)) }

  private func publish(_ topic: String, transaction: JSONValue, _ data: JSONObject, key: String) async throws {
    let now = JSONValue.string(clock.now.iso)
    let event: JSONValue = [
      "id": .string(SecureRandom.uuid()), "transactionId": transaction, "type": ["namespace": "mosip", "name": "ida"],
      "timestamp": now, "dataShareUri": .null, "data": .object(data),
    ]
    let body: JSONValue = ["publisher": "ID_REPO", "topic": .string(topic), "publishedOn": now, "event": event]
    try await hub.publish(body.encoded(), topic: topic, idempotencyKey: "identity-follow-up:\(key)")
  }
}
