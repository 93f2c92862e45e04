import CRdKafka
import Glibc
import Synchronization
import System

/// librdkafka's configuration object, filled from our defaults and the caller's properties; given away to a handle or freed.
struct Configuration: ~Copyable {
  enum Role {
    case consumer(group: String, instance: String?)
    case producer(transactionalID: String?)
    case admin

    var handleType: rd_kafka_type_t {
      if case .consumer = self { RD_KAFKA_CONSUMER } else { RD_KAFKA_PRODUCER }
    }
  }

  /// What delivery rests on, so not for a settings file to change.
  private static let reserved: [String: String] = [
    "bootstrap.servers": "it has a setting of its own", "metadata.broker.list": "it has a setting of its own",
    "client.id": "it has a setting of its own", "group.id": "it comes from the consumer",
    "group.instance.id": "it comes from the consumer", "transactional.id": "it comes from the producer",
    "enable.auto.commit": "offsets are committed with the work",
    "enable.auto.offset.store": "offsets are committed with the work",
    "delivery.report.only.error": "flush depends on it",
  ]

  let raw: OpaquePointer

  init(_ settings: KafkaSettings, _ role: Role) throws(KafkaError) {
    raw = rd_kafka_conf_new()
    try set("bootstrap.servers", settings.bootstrapServers)
    try set("client.id", settings.clientID)
    try set("socket.nagle.disable", "true")
    // Enough to wait out a broker's restart, short enough to be back at once when it is.
    try set("reconnect.backoff.ms", "50")
    try set("reconnect.backoff.max.ms", "2000")
    try set("log_level", settings.logsWarnings ? "4" : "0")
    if settings.logsWarnings {
      rd_kafka_conf_set_log_cb(raw, logLine)
    } else {
      rd_kafka_conf_set_log_cb(raw, ignoreLine)
    }
    switch role {
    case .consumer:
      try set("isolation.level", "read_committed")
      try set("enable.auto.commit", "false")
      try set("enable.auto.offset.store", "false")
      try set("auto.offset.reset", "earliest")
      // Eager: every broker and every Java neighbour understands it, and a worker has to drop its batch either way.
      try set("partition.assignment.strategy", "range")
      try set("allow.auto.create.topics", "false")
      try set("session.timeout.ms", "10000")
      try set("heartbeat.interval.ms", "2000")
      // An idle consumer holds nothing; one with a backlog fetches ahead up to the first limit reached. librdkafka 2.0.2 looks again
      // only up to a second after a queue fell below its limits, so limits below a second's worth of work stall a fast reader
      // (measured: a seventh of the throughput with 10,000 records and 8 MB).
      try set("queued.min.messages", "100000")
      try set("queued.max.messages.kbytes", "65536")
      try set("fetch.max.bytes", "8388608")
      try set("fetch.error.backoff.ms", "100")
    case .producer:
      try set("acks", "all")
      try set("enable.idempotence", "true")
      try set("linger.ms", "5")
      try set("delivery.report.only.error", "true")
      // Java's partitioner, so that a record's key lands where a Java stage would have put it.
      try set("partitioner", "murmur2_random")
      try set("queue.buffering.max.kbytes", "65536")
    case .admin: break
    }
    try apply(settings.properties)
    switch role {
    case .consumer(let group, let instance):
      try apply(settings.consumerProperties)
      try set("group.id", group)
      if let instance { try set("group.instance.id", instance) }
    case .producer(let transactionalID):
      try apply(settings.producerProperties)
      if let transactionalID { try set("transactional.id", transactionalID) }
    case .admin: break
    }
  }

  deinit { rd_kafka_conf_destroy(raw) }

  /// Makes a handle, which takes the configuration over.
  consuming func makeHandle(_ role: Role) throws(KafkaError) -> OpaquePointer {
    var text = [CChar](repeating: 0, count: 512)
    guard let client = rd_kafka_new(role.handleType, raw, &text, text.count) else {
      // librdkafka's text may repeat a value; values stand in quotation marks there.
      let failure = KafkaError(
        code: .configuration, name: String(cString: rd_kafka_err2name(rd_kafka_last_error())),
        operation: "start client",
        detail: Self.withoutQuotes(string(text)))
      _ = consume self
      throw failure
    }
    discard self  // the handle owns the object now
    return client
  }

  private func apply(_ properties: [String: String]) throws(KafkaError) {
    for name in properties.keys.sorted() {
      if let reason = Self.reserved[name] { throw .configuration("the property '\(name)' cannot be set: \(reason)") }
      try set(name, properties[name]!)
    }
  }

  private func set(_ name: String, _ value: String) throws(KafkaError) {
    var text = [CChar](repeating: 0, count: 512)
    switch rd_kafka_conf_set(raw, name, value, &text, text.count) {
    case RD_KAFKA_CONF_OK: return
    case RD_KAFKA_CONF_UNKNOWN: throw .configuration("unknown property '\(name)'")
    default: throw .configuration("the property '\(name)' does not accept its value")
    }
  }

  /// A text of librdkafka without what stands in quotation marks.
  private static func withoutQuotes(_ text: String) -> String {
    text.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
      .map { $0.offset % 2 == 0 ? String($0.element) : "..." }.joined(separator: "\"")
  }
}

private let log = Log("kafka")
/// When a kind of line was last written, so that a dead broker does not fill the log with one line every 100 ms.
private let lastLines = Mutex<[String: Int64]>([:])

private func logLine(
  _: OpaquePointer?, level: Int32, facility: UnsafePointer<CChar>?, text: UnsafePointer<CChar>?
) {
  guard level <= 4, let facility, let text else { return }
  let kind = String(cString: facility)
  // Properties of the other role are left out by librdkafka, which is what we want.
  guard kind != "CONFWARN" else { return }
  let now = Instant.now.milliseconds
  let quiet = lastLines.withLock { lines in
    if let last = lines[kind], now - last < 10_000 { return true }
    lines[kind] = now
    return false
  }
  if !quiet { log.warning(String(cString: text), ["kind": kind]) }
}

private func ignoreLine(_: OpaquePointer?, level: Int32, _: UnsafePointer<CChar>?, _: UnsafePointer<CChar>?) {}

/// Milliseconds of the machine's monotonic clock.
func monotonicMilliseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
