import CRdKafka

/// Rebalances: what the group says, what the caller is told, and what is confirmed when.
extension KafkaConsumer {
  func rebalance(_ event: OpaquePointer) -> PollResult.Event {
    let list = rd_kafka_event_topic_partition_list(event)
    let partitions = list?.partitions ?? []
    let incremental = rd_kafka_rebalance_protocol(client.raw).map { String(cString: $0) } == "COOPERATIVE"
    if rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
      if incremental {
        drop(rd_kafka_incremental_assign(client.raw, list))
      } else {
        _ = rd_kafka_assign(client.raw, list)
      }
      state.withLock { state in
        state.epoch += 1
        for partition in partitions { state.assigned[partition] = state.epoch }
      }
      return .assigned(partitions.sorted())
    }
    let lost = rd_kafka_assignment_lost(client.raw) != 0
    state.withLock { state in
      for partition in partitions { state.assigned[partition] = nil }
      state.pendingRevocation = (partitions, incremental)
    }
    return lost ? .lost(partitions.sorted()) : .revoked(partitions.sorted())
  }

  func confirmRevocation() {
    let pending = state.withLock { state in
      defer { state.pendingRevocation = nil }
      return state.pendingRevocation
    }
    guard let pending else { return }
    if pending.incremental {
      let list = makeList(pending.partitions)
      drop(rd_kafka_incremental_unassign(client.raw, list))
      rd_kafka_topic_partition_list_destroy(list)
    } else {
      _ = rd_kafka_assign(client.raw, nil)
    }
  }

  func assign(_ partitions: [TopicPartition]) throws(KafkaError) {
    let list = makeList(partitions)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    try check(rd_kafka_assign(client.raw, list), "assign partitions")
  }

  /// Notes partitions that were taken without a group; the next poll tells.
  func accept(_ partitions: [TopicPartition]) {
    state.withLock { state in
      state.epoch += 1
      for partition in partitions { state.assigned[partition] = state.epoch }
      state.pendingEvents.append(.assigned(partitions.sorted()))
    }
  }

  func failureOrEvent(_ event: OpaquePointer) -> Result<PollResult.Event, KafkaError> {
    let number = rd_kafka_event_error(event)
    if number == RD_KAFKA_RESP_ERR__PARTITION_EOF, let place = rd_kafka_event_topic_partition(event) {
      defer { rd_kafka_topic_partition_destroy(place) }
      let partition = TopicPartition(String(cString: place.pointee.topic), place.pointee.partition)
      return .success(.reachedEnd(PartitionOffset(partition, place.pointee.offset)))
    }
    if number == RD_KAFKA_RESP_ERR__FATAL, let fatal = KafkaError.fatal(of: client.raw, "poll") {
      return .failure(fatal)
    }
    let text = rd_kafka_event_error_string(event).map { String(cString: $0) }
    let error = KafkaError(number, "poll", detail: text)
    return error.code == .fenced ? .failure(error) : .success(.problem(error, topic: topic(of: event, text)))
  }

  /// The topic that a problem is about. Of one that is not available librdkafka names it in its text only.
  private func topic(of event: OpaquePointer, _ text: String?) -> String? {
    if let place = rd_kafka_event_topic_partition(event) {
      defer { rd_kafka_topic_partition_destroy(place) }
      return String(cString: place.pointee.topic)
    }
    let beginning = "Subscribed topic not available: "
    guard let text, text.hasPrefix(beginning) else { return nil }
    let rest = text.dropFirst(beginning.count)
    return String(rest.prefix { $0 != ":" })
  }

  /// The group refuses an assignment only when it has moved on, and then says so by another event.
  private func drop(_ error: OpaquePointer?) {
    if let error { rd_kafka_error_destroy(error) }
  }
}

/// Throws the error of a call that answers with a number.
func check(_ error: rd_kafka_resp_err_t, _ operation: String) throws(KafkaError) {
  guard error == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(error, operation) }
}
