import CRdKafka

/// Transactions: what is produced and which offsets are committed becomes visible together or not at all.
///
/// Each call throws a `KafkaError`. With `isRetriable` the same call may be made again; `abortable` wants `abortTransaction`; `fenced` and
/// `fatal` want a new producer.
extension KafkaProducer {
  /// Registers the transactional id, finishes or aborts what an earlier owner left, and fences that owner off. Once, before all else.
  public func initTransactions(timeoutMilliseconds: Int = 30_000) throws(KafkaError) {
    try check(rd_kafka_init_transactions(client.raw, Int32(clamping: timeoutMilliseconds)), "init transactions")
  }

  /// Begins a transaction (nothing is sent yet).
  public func begin() throws(KafkaError) {
    forgetFailures()
    try check(rd_kafka_begin_transaction(client.raw), "begin transaction")
  }

  /// Makes the consumer's offsets (of the next records to be read) part of the transaction.
  public func sendOffsets(_ offsets: [PartitionOffset], group: GroupMetadata, timeoutMilliseconds: Int = 30_000)
    throws(KafkaError)
  {
    guard !offsets.isEmpty else { return }
    let list = makeList(offsets)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    try check(
      rd_kafka_send_offsets_to_transaction(client.raw, list, group.raw, Int32(clamping: timeoutMilliseconds)),
      "send offsets to transaction")
  }

  /// Sends what is still buffered and commits. After `timedOut` the outcome is open: call it again.
  public func commitTransaction(timeoutMilliseconds: Int = 30_000) throws(KafkaError) {
    try check(rd_kafka_commit_transaction(client.raw, Int32(clamping: timeoutMilliseconds)), "commit transaction")
  }

  /// Drops what is still buffered and aborts: nothing of the transaction is seen by readers of committed records. The consumer then
  /// has to `seek` back to what it read.
  public func abortTransaction(timeoutMilliseconds: Int = 30_000) throws(KafkaError) {
    defer { forgetFailures() }
    try check(rd_kafka_abort_transaction(client.raw, Int32(clamping: timeoutMilliseconds)), "abort transaction")
  }

  private func check(_ error: OpaquePointer?, _ operation: String) throws(KafkaError) {
    guard let error else { return }
    let failed = KafkaError(consuming: error, operation)
    // The fatal error's own number says more than the flag: fenced or broken.
    throw failed.code == .fatal ? KafkaError.fatal(of: client.raw, operation) ?? failed : failed
  }
}
