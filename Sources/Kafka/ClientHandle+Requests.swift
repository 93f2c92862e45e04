import CRdKafka
import System

/// Requests of an admin client, whose main queue tells meanwhile why there is no connection.
extension ClientHandle {
  /// What the cluster says of all topics.
  func metadata(limit: Int) throws(KafkaError) -> ClusterMetadata {
    var connection = ConnectionTrouble(self)
    let end = monotonicMilliseconds() + limit
    // The call cannot be ended from outside and forgets a late answer, so the first waits are short and the later ones long enough for
    // a slow broker.
    var slice = 250
    while true {
      let left = end - monotonicMilliseconds()
      do throws(KafkaError) {
        return try metadata(topic: nil, timeoutMilliseconds: Int32(clamping: max(1, min(slice, left))))
      } catch {
        try connection.look()
        guard error.isRetriable, monotonicMilliseconds() < end else { throw connection.explain(error) }
      }
      // Some errors come at once.
      try connection.look(milliseconds: 20)
      slice *= 2
    }
  }

  /// Sends an admin request and waits for its answer, which the caller has to destroy.
  func ask(
    _ operation: String, _ kind: rd_kafka_admin_op_t, limit: Int, _ send: (OpaquePointer, OpaquePointer) -> Void
  ) throws(KafkaError) -> OpaquePointer {
    var connection = ConnectionTrouble(self)
    let options = rd_kafka_AdminOptions_new(raw, kind)!
    defer { rd_kafka_AdminOptions_destroy(options) }
    var text = [CChar](repeating: 0, count: 256)
    _ = rd_kafka_AdminOptions_set_request_timeout(options, Int32(clamping: limit), &text, text.count)
    let queue = rd_kafka_queue_new(raw)!
    defer { rd_kafka_queue_destroy(queue) }
    send(options, queue)
    // The answer to a request that ran out of time comes a little after that.
    let end = monotonicMilliseconds() + limit + 1000
    while monotonicMilliseconds() < end {
      guard let event = rd_kafka_queue_poll(queue, 100) else {
        try connection.look()
        continue
      }
      let error = rd_kafka_event_error(event)
      guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return event }
      let text = rd_kafka_event_error_string(event).map { String(cString: $0) }
      rd_kafka_event_destroy(event)
      try connection.look()
      throw connection.explain(KafkaError(error, operation, detail: text))
    }
    throw connection.explain(KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation))
  }
}

/// Why a client has no connection, as far as it says so.
private struct ConnectionTrouble: ~Copyable {
  let queue: OpaquePointer
  private var last: (error: rd_kafka_resp_err_t, text: String)?
  /// What was told before this began to listen, by a client that connects before it is asked anything (librdkafka 2.8). It counts
  /// if there is no answer at once: the client does not say the same again within 30 seconds.
  private var refused: KafkaError?

  /// Begins to listen; what was told before this is old, but for a refusal.
  init(_ client: ClientHandle) {
    queue = rd_kafka_queue_get_main(client.raw)
    do throws(KafkaError) { try look() } catch { refused = error }
    last = nil
    while let event = rd_kafka_queue_poll(queue, 0) { rd_kafka_event_destroy(event) }
  }

  deinit { rd_kafka_queue_destroy(queue) }

  /// Takes what has come, or what comes so soon. Throws when the cluster does not know this client: no wait makes that better.
  mutating func look(milliseconds: Int32 = 0) throws(KafkaError) {
    if let refused { throw refused }
    while let event = rd_kafka_queue_poll(queue, milliseconds) { try take(event) }
  }

  private mutating func take(_ event: OpaquePointer) throws(KafkaError) {
    defer { rd_kafka_event_destroy(event) }
    guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR else { return }
    let error = rd_kafka_event_error(event)
    let text = rd_kafka_event_error_string(event).map { String(cString: $0) } ?? ""
    if error == RD_KAFKA_RESP_ERR__AUTHENTICATION { throw KafkaError(error, "connect", detail: text) }
    // It follows upon the event that says why.
    if error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN { last = (error, text) }
  }

  /// The error with what the client said last of its connections. One that only another setting can mend is not worth another try.
  func explain(_ error: KafkaError) -> KafkaError {
    guard error.isRetriable, let last else { return error }
    if last.error == RD_KAFKA_RESP_ERR__SSL || last.text.contains("security.protocol") {
      return KafkaError(
        code: .configuration, name: String(cString: rd_kafka_err2name(last.error)), operation: "connect", detail: last.text)
    }
    return KafkaError(
      code: error.code, name: error.name, operation: error.operation, detail: "\(error.detail); the connection: \(last.text)")
  }
}
