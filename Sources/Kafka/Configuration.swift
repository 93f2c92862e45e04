import CRdKafka
import Glibc
import Synchronization
import System

/// librdkafka's configuration object, filled from our defaults and the caller's properties; given away to a handle or freed.
struct Configuration: ~Copyable {
  enum Role {
    case consumer(group: String, instance: String?)
    case producer(transactionalId: String?)
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
    try set("client.id", settings.clientId)
    try set("socket.nagle.disable", "true")
    // Enough to wait out a broker's restart, short enough to be back at once when it is.
    try set("reconnect.backoff.ms", "50")
    try set("reconnect.backoff.max.ms", "2000")
    // A topic that was lost or widened is noticed within half a minute instead of five.
    try set("topic.metadata.refresh.interval.ms", "30000")
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
      // What a reader says of its partitions and brokers: some standstills come with no event and no line at all.
      try set("statistics.interval.ms", "3000")
    case .producer(let transactionalId):
      // A worker's transaction lives milliseconds. That of a killed one holds up its stage and the next until this is over (and up to 10 s
      // longer), unless it comes back under its name: librdkafka's default is a minute.
      if transactionalId != nil { try set("transaction.timeout.ms", "10000") }
      // So long a record waits for a topic that the metadata does not show. Below the time that a record may wait at all, or its failure
      // would not say that the topic is missing.
      try set("topic.metadata.propagation.max.ms", "5000")
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
    case .producer(let transactionalId):
      try apply(settings.producerProperties)
      if let transactionalId {
        try set("transactional.id", transactionalId)
        try checkTimeouts(settings)
      }
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

  /// librdkafka makes no client whose records or requests may outlive its transactions, and says so without a name that helps.
  private func checkTimeouts(_ settings: KafkaSettings) throws(KafkaError) {
    guard let limit = integer("transaction.timeout.ms") else { return }
    let given = settings.properties.merging(settings.producerProperties) { $1 }
    for (name, most) in [("message.timeout.ms", limit), ("delivery.timeout.ms", limit), ("socket.timeout.ms", limit + 100)] {
      guard let value = given[name].flatMap({ Int($0) }), value > most else { continue }
      throw .configuration(
        "the property '\(name)' is above transaction.timeout.ms (\(limit)): lower the one, or set the other too")
    }
  }

  /// The value of a property that is a number; nil when there is none.
  func integer(_ name: String) -> Int? {
    var text = [CChar](repeating: 0, count: 64)
    var size = text.count
    guard rd_kafka_conf_get(raw, name, &text, &size) == RD_KAFKA_CONF_OK else { return nil }
    return Int(string(text))
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
private let thinning = Mutex(LineThinning())

private func logLine(
  _: OpaquePointer?, level: Int32, facility: UnsafePointer<CChar>?, text: UnsafePointer<CChar>?
) {
  guard level <= 4, let facility, let text else { return }
  let kind = String(cString: facility)
  // Properties of the other role are left out by librdkafka, which is what we want.
  guard kind != "CONFWARN" else { return }
  // It names the brokers as they were written.
  let line = Showing.withoutSecretParts(String(cString: text))
  let leftOut = thinning.withLock { $0.admit(kind: kind, text: line, at: monotonicMilliseconds()) }
  switch leftOut {
  case nil: return
  case 0?: log.warning(line, ["kind": kind])
  case let count?: log.warning(line, ["kind": kind, "leftOut": count])
  }
}

/// How many of the library's lines were left out since the start, because the same was said moments before.
public var kafkaLinesLeftOut: Int { thinning.withLock { $0.leftOut } }

private func ignoreLine(_: OpaquePointer?, level: Int32, _: UnsafePointer<CChar>?, _: UnsafePointer<CChar>?) {}
