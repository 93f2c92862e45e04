import Cryptography
import HTTP
import Postgres
import StageKit
import Synchronization
import System

/// A WebSub hub in this process (docs/upstream/opencrvs-and-websub.md#4-websub): subscriptions with intent verification, deliveries signed
/// with the subscriber's secret, everything in Postgres and tried again until it is taken.
///
/// A subscription gets one delivery at a time, in the order of publication; the next waits until the one before is taken or given up.
/// Unlike upstream's hub, which skips what fails for some twenty seconds, only what a subscriber refuses for a day (a setting) is given up,
/// and that is kept and listed. To a subscriber that gives no answer for hours (a setting) nothing is delivered until it subscribes again or
/// a person resumes it; then it gets all that it is owed. Leases are renewed and enforced, and what is published while a lease has run out is delivered when it is renewed, however
/// long that was. To a stage in a process of ours also what was published up to a week before it first subscribed: a mediator that comes up
/// late loses nothing. A subscription belongs to the client that made it, and callers over HTTP get nothing from before theirs.
public final class EmbeddedHub: WebSubHub {
  private let pool: Pool
  private let queue: HubQueue
  private let subscriptions: HubSubscriptions
  private let sealer: Sealer
  private let http: any HTTPExchange
  private let publicURL: String
  /// Where callbacks of callers over HTTP may be. A stage of ours names its own by a setting.
  private let callbackHosts: OutgoingHosts
  private let bell = Semaphore()
  private let ended = Semaphore()
  private let stopping = Atomic<Bool>(false)
  private let isStarted = Atomic<Bool>(false)
  /// The leases of the deliveries in hand, by their numbers.
  private let leases = Mutex<[Int: String]>([:])
  private let inHand = Atomic<Int>(0)
  /// Subscriptions whose secrets this process cannot open and others may: until when they are left to them, in monotonic milliseconds.
  private let leftToOthers = Mutex<[Int: Int]>([:])
  private let observers: Mutex<[@Sendable (_ topic: String, _ body: [UInt8]) async -> Void]>
  private let log: Log
  /// A subscriber that is away for an hour is not worth a line for each delivery.
  private let retryLines = LineBudget(lines: 20)

  private static let atOnce = 32
  private static let defaultLease = 86_400

  /// Where its endpoint is.
  static let path = "/hub"
  /// A day, in seconds. W3C WebSub (7) leaves the limit to the hub; MOSIP's tries three times. A day lets an operator see it and mend it, and
  /// what is refused holds back what comes behind it.
  static let patience = 86_400.0
  /// Six hours, in seconds: longer than most works on a network, and much shorter than a lease.
  static let waitForAnswers = 21_600.0
  private static let leftToOthersFor = 60_000

  init(
    pool: Pool, forgetful: Pool, sealer: Sealer, http: any HTTPExchange, publicURL: String, giveUpAfter: Double = patience,
    suspendAfter: Double = waitForAnswers, callbackHosts: OutgoingHosts = .any, log: Log = Log("hub")
  ) {
    (self.pool, self.log) = (pool, log)
    queue = HubQueue(pool: forgetful, sealer: sealer, giveUpAfter: giveUpAfter, suspendAfter: suspendAfter)
    subscriptions = HubSubscriptions(pool: pool)
    self.sealer = sealer
    self.http = http
    self.publicURL = publicURL
    self.callbackHosts = callbackHosts
    observers = Mutex([])
  }

  /// Called with every message that is published through this process.
  func observe(_ observer: @escaping @Sendable (String, [UInt8]) async -> Void) {
    observers.withLock { $0.append(observer) }
  }

  // MARK: WebSubHub

  public func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws {
    try await database {
      try await pool.with { connection in
        try connection.transaction {
          // Shared by publishers, alone for a subscriber: of a message and a subscription that come at once, one sees the other.
          _ = try connection.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended('hub:' || $1, 0))", [.text(topic)])
          let made = try connection.execute(
            "INSERT INTO platform.hub_message (topic, dedupe_key, body) VALUES ($1, $2, $3) ON CONFLICT (dedupe_key) DO NOTHING RETURNING id::text",
            [.text(topic), .text(idempotencyKey), .bytes(body)])
          guard let row = made.first else { return }
          // Also for a lease that has run out: it is renewed by the subscriber's hand, and until then the delivery waits.
          _ = try connection.execute(
            """
            INSERT INTO platform.hub_delivery (message_id, callback, topic)
            SELECT $1::uuid, callback, topic FROM platform.hub_subscription WHERE topic = $2 AND ended_at IS NULL
            """, [.text(try row.text(0)), .text(topic)])
        }
      }
    }
    bell.signal()
    for observer in observers.withLock({ $0 }) { await observer(topic, body) }
  }

  public func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws {
    try await subscribe(topic: topic, callback: callback, secret: secret, leaseSeconds: leaseSeconds, by: .own)
  }

  public func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int, stage: String) async throws {
    try await subscribe(topic: topic, callback: callback, secret: secret, leaseSeconds: leaseSeconds, stage: stage, by: .own)
  }

  public func suspended() async throws -> [SuspendedSubscription] {
    // Where it delivers nothing its tables may be out of reach.
    guard isStarted.load(ordering: .acquiring) else { return [] }
    return try await database { try await queue.suspended() }
  }

  private func subscribe(
    topic: String, callback: String, secret: String, leaseSeconds: Int, stage: String? = nil, by owner: HubSubscriptions.Owner
  ) async throws {
    try await subscriptions.check(topic, callback, by: owner)
    try await verifyIntent("subscribe", topic, callback, leaseSeconds)
    let sealed = try sealer.seal(Array(secret.utf8), in: SealedColumn.hubSecret.row(topic, callback))
    try await subscriptions.take(
      HubSubscriptions.Wanted(
        topic: topic, callback: callback, sealedSecret: sealed, leaseSeconds: leaseSeconds, stage: stage), by: owner)
    bell.signal()
  }

  func unsubscribe(topic: String, callback: String) async throws { try await subscriptions.end(topic, callback, by: .own) }

  /// Asks the callback whether it wants this: it must answer 2xx with the challenge (W3C WebSub 5.3).
  private func verifyIntent(_ mode: String, _ topic: String, _ callback: String, _ lease: Int) async throws {
    let challenge = SecureRandom.uuid()
    let url =
      callback + (callback.contains("?") ? "&" : "?")
      + "hub.mode=\(mode)&hub.topic=\(Self.encode(topic))&hub.challenge=\(challenge)&hub.lease_seconds=\(lease)"
    let answer: ClientResponse
    do {
      answer = try await http.send(ClientRequest(method: "GET", url: url))
    } catch {
      throw ServiceError(.unavailable, service: "WebSub hub", code: "RPR-HUB-001", "the callback cannot be reached")
    }
    guard (200..<300).contains(answer.status), answer.body == Array(challenge.utf8) else {
      throw ServiceError(
        .refused, service: "WebSub hub", code: "RPR-HUB-002", "the callback did not confirm (status \(answer.status))")
    }
  }

  private static func encode(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case 48...57, 65...90, 97...122, 45, 46, 95, 126, 47: out.unicodeScalars.append(Unicode.Scalar(byte))
      default: out += "%" + Encoding.upperHex([byte])
      }
    }
    return out
  }

  // MARK: the endpoint

  /// `POST /hub`: register, deregister, subscribe, unsubscribe and publish, in upstream's forms.
  func endpoints(tokens: any AccessTokens) -> [Endpoint] {
    let admission = Admission(
      "tokens with MOSIP's role for the topic (`PUBLISH_...`, `SUBSCRIBE_...`)",
      limits: "audience `mosip`; a subscription belongs to its client; callbacks at `http.outgoing-hosts`"
    ) { request in
      do {
        guard let token = request.cookie("Authorization") ?? request.bearerToken,
          let caller = try await tokens.caller(of: token, for: .mosip)
        else {
          RefusedCallers.shared.add("hub-request", reason: "token")
          return Self.denied("not authorised", status: 401)
        }
        request.caller = caller
        return nil
      } catch { return Self.denied("tokens cannot be checked now", status: 503) }
    }
    let told = EndpointDescription.Content(mediaType: "application/x-www-form-urlencoded", schema: ["type": "string"])
    return [
      Endpoint("POST", Self.path, maxBody: 2 << 20, admission: admission) { request in
        guard let caller = request.caller as? Caller else { return Self.denied("not authorised", status: 401) }
        return try await self.answer(request, of: caller)
      }.described(
        EndpointDescription(
          "registers, publishes to and subscribes to topics",
          details: "As MOSIP's WebSub hub: the fields stand in the query, or in a form; what is published is the body.",
          tag: "WebSub hub (embedded)",
          parameters: [
            .init("hub.mode", "`register`, `publish`, `subscribe`, `unsubscribe`"), .init("hub.topic", "the topic"),
            .init("hub.callback", "where a subscription is delivered"),
            .init("hub.secret", "the secret that deliveries are signed with"),
            .init("hub.lease_seconds", "for how long"),
          ],
          body: .init(mediaType: "application/x-www-form-urlencoded", schema: ["type": "object"]), needsBody: false,
          answers: [
            .init(200, "it was done", told), .init(202, "the subscription will be verified", told),
            .init(400, "a field is missing", told), .init(401, "there is no token that counts here", told),
            .init(403, "the caller may not", told), .init(500, "the subscriber may not", told), .init(503, "not now", told),
          ]))
    ]
  }

  /// Refuses, so that a person can see it.
  private func refuse(_ what: String, of caller: Caller, reason: String, _ message: String, status: Int, host: String? = nil)
    -> Response
  {
    RefusedCallers.shared.add(what, reason: reason)
    log.warning(
      "the hub refuses a caller",
      ["what": what, "client": caller.client, "reason": reason, "host": host ?? "-"])
    return Self.denied(message, status: status)
  }

  private func answer(_ request: Request, of caller: Caller) async throws -> Response {
    let form = request.query("hub.mode") == nil ? request.form() : []
    func field(_ name: String) -> String? { request.query(name) ?? form.first { $0.0 == name }?.1 }
    guard let mode = field("hub.mode"), let topic = field("hub.topic"), !topic.isEmpty else {
      return Self.denied("hub.mode or hub.topic is missing", status: 400)
    }
    let subscribes = mode == "subscribe" || mode == "unsubscribe"
    do {
      try HubRights.check(caller, may: subscribes ? .subscribe : .publish, topic: topic)
    } catch {
      // MOSIP's hub answers 500 to a subscriber without the right.
      return refuse(
        subscribes ? "subscription" : "publication", of: caller, reason: error.reason, error.message,
        status: subscribes ? 500 : 403)
    }
    switch mode {
    case "register", "deregister", "unregister": return Self.accepted(200)
    case "publish":
      // Whoever publishes in this form names no key, and two equal events are two: a registration may fail twice.
      try await publish(request.body, topic: topic, idempotencyKey: "http:\(SecureRandom.uuid())")
      return Self.accepted(200)
    case "subscribe", "unsubscribe":
      guard let callback = field("hub.callback") else { return Self.denied("hub.callback is missing", status: 400) }
      guard callbackHosts.allows(callback) else {
        return refuse(
          "subscription", of: caller, reason: "host", "callbacks at this host are not allowed", status: 403,
          host: OutgoingHosts.host(of: callback) ?? "none that can be read")
      }
      do {
        let owner = HubSubscriptions.Owner.client(caller.client)
        if mode == "unsubscribe" {
          try await subscriptions.checkEnd(topic, callback, by: owner)
          try await verifyIntent(mode, topic, callback, 0)
          try await subscriptions.end(topic, callback, by: owner)
        } else {
          guard let secret = field("hub.secret") else { return Self.denied("hub.secret is missing", status: 400) }
          let lease = field("hub.lease_seconds").flatMap { Int($0) } ?? Self.defaultLease
          try await subscribe(
            topic: topic, callback: callback, secret: secret, leaseSeconds: min(max(lease, 60), 30 * 86_400), by: owner)
        }
        return Self.accepted(202)
      } catch let error as ServiceError where error.code == HubSubscriptions.notTheirs {
        return refuse("subscription", of: caller, reason: "owner", error.message, status: 403)
      } catch let error as ServiceError where error.code.hasPrefix("RPR-HUB") {
        return Self.denied(error.message, status: 400)
      }
    default: return Self.denied("there is no mode of this name", status: 400)
    }
  }

  private static func accepted(_ status: Int) -> Response { form("hub.mode=accepted", status) }
  private static func denied(_ reason: String, status: Int) -> Response {
    form("hub.mode=denied&hub.reason=\(encode(reason))", status)
  }
  private static func form(_ text: String, _ status: Int) -> Response {
    var response = Response.text(text, status: status)
    response.headers.set("Content-Type", "application/x-www-form-urlencoded")
    return response
  }

  // MARK: deliveries

  func start() {
    guard !isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
    OwnedThread.start("hub") {
      self.run()
      self.ended.signal()
    }
  }

  /// Ends the deliveries; those in hand finish. Never call it from a task.
  func stop() {
    guard isStarted.load(ordering: .acquiring), !stopping.exchange(true, ordering: .acquiringAndReleasing) else {
      return
    }
    bell.signal()
    ended.wait()
    let pause = Semaphore()
    for _ in 0..<100 where inHand.load(ordering: .acquiring) > 0 { _ = pause.wait(milliseconds: 50) }
  }

  private func run() {
    var renewAt = 0
    while !stopping.load(ordering: .acquiring) {
      if monotonicMilliseconds() >= renewAt {
        renewAt = monotonicMilliseconds() + 2000
        blockingAwait { await self.renew() }
      }
      let room = Self.atOnce - inHand.load(ordering: .acquiring)
      let due = room > 0 ? blockingAwait { await self.claim(room) } : []
      for delivery in due {
        leases.withLock { $0[delivery.number] = delivery.lease }
        inHand.add(1, ordering: .acquiringAndReleasing)
        Task.detached {
          await self.deliver(delivery)
          self.inHand.subtract(1, ordering: .acquiringAndReleasing)
          self.bell.signal()
        }
      }
      if due.isEmpty { _ = bell.wait(milliseconds: 500) }
      while bell.wait(milliseconds: 0) {}
    }
  }

  private func claim(_ room: Int) async -> [HubQueue.Delivery] {
    do {
      let now = monotonicMilliseconds()
      let others = leftToOthers.withLock { all in
        all = all.filter { $0.value > now }
        return all.keys.sorted()
      }
      let claimed = try await queue.claim(room, leaving: others)
      for one in claimed.unsigned { report(one, now) }
      return claimed.deliveries
    } catch {
      log.warning("deliveries cannot be claimed", ["error": "\(error)"])
      return []
    }
  }

  /// Each is said once; what only this process cannot open, once a minute as long as it is so.
  private func report(_ one: HubQueue.Unsigned, _ now: Int) {
    let facts: KeyValuePairs<String, any LogField> = [
      "code": one.fault.code, "topic": one.topic, "subscription": HubQueue.name(one.subscription), "error": one.fault.message,
    ]
    if one.fault.isForAll {
      log.error("the secret of a subscription does not open: it is suspended (regproc held list)", facts)
    } else {
      leftToOthers.withLock { $0[one.subscription] = now + Self.leftToOthersFor }
      log.error("this process cannot open the secret of a subscription: others may deliver to it", facts)
    }
  }

  private func renew() async {
    let held = leases.withLock { $0 }
    guard !held.isEmpty else { return }
    do {
      let renewed = try await queue.renew(held)
      // What has ended meanwhile is not held again.
      leases.withLock { leases in for (number, lease) in renewed where leases[number] != nil { leases[number] = lease } }
    } catch {
      log.warning("deliveries in hand cannot be held further; they may be repeated", ["error": "\(error)"])
    }
  }

  /// Statuses by which a subscriber, or a proxy before it, says that it is not there now.
  private static let notNow: Set<Int> = [429, 502, 503, 504]

  /// The first retry is what retries are for; from the second on somebody should look.
  /// - Parameter refusal: what the subscriber answered; nil when it is not there.
  private func tellOfRetry(_ delivery: HubQueue.Delivery, _ refusal: String?) {
    guard case .write(let leftOut, _) = retryLines.take("\(delivery.topic)|\(refusal ?? "")") else { return }
    log.write(
      delivery.attempt > 1 ? .warning : .info,
      refusal == nil ? "a subscriber cannot be reached; tried again" : "a subscriber refuses a delivery; tried again",
      delivery.facts(answer: refusal, leftOut: leftOut))
  }

  private func deliver(_ claimed: HubQueue.Delivery) async {
    var delivery = claimed
    var status: Int?
    do {
      var request = ClientRequest(method: "POST", url: delivery.callback, body: .bytes(delivery.body))
      request.headers.set("Content-Type", "application/json")
      request.headers.set(
        "X-Hub-Signature", "sha256=" + Encoding.hex(HMAC.code(delivery.body, key: delivery.secret, .sha256)))
      request.headers.set("Link", "<\(publicURL)>; rel=\"hub\", <\(delivery.topic)>; rel=\"self\"")
      request.timeoutSeconds = 30
      status = try await http.send(request).status
    } catch {
      // Told below: nobody answered.
    }
    if let lease = leases.withLock({ $0.removeValue(forKey: claimed.number) }) { delivery.lease = lease }
    do {
      switch status {
      case .some(200..<300): try await queue.taken(delivery)
      case 410: try await queue.ended(delivery)
      default:
        // Who is not there is waited for: its lease ends that, or its silence. Who refuses is not asked for ever.
        let refusal = status.flatMap { Self.notNow.contains($0) ? nil : "status \($0)" }
        let putOff = try await queue.putOff(delivery, refusal: refusal)
        if case .waits = putOff { tellOfRetry(delivery, refusal) }
        putOff.tell(delivery, refusal, log)
      }
    } catch {
      log.warning("the end of a delivery could not be recorded; it will be repeated", ["error": "\(error)"])
    }
  }
}
