import Registration

/// The bus as one worker thread uses it: a consumer and a producer that belong together. `KafkaBus` is the real one; the tests of the worker
/// bring one that fails where they want.
protocol Bus: AnyObject {
  /// Waits for records, at most so long. Records of partitions that were taken away meanwhile are not among them. A poll
  /// that fails has read nothing. While a transaction is under way it may bring nothing though there is something.
  func poll(max: Int, timeoutMilliseconds: Int) throws(BusFailure) -> [BusRecord]

  /// Stays in the group and takes nothing, at most so long. What is not taken is read by the next `poll`.
  func idle(timeoutMilliseconds: Int) throws(BusFailure)

  /// The headers of a record of the batch that was polled last, as JSON; nil where there are none.
  func headers(of origin: RecordOrigin) -> String?

  /// Sends everything and moves the offsets behind the batch that was polled last. Where the broker has transactions that is one, and its commit
  /// has only begun when this returns: `settle` says what became of it.
  /// - Parameter setAside: takes over what the broker refuses while it takes the rest, before the offsets move.
  func send(_ outgoing: [OutgoingHop], setAside: ([UndeliverableHop]) throws -> Void) throws(BusFailure)

  /// Waits until the commit that `send` began has ended. After a `retriable` failure it may be asked again.
  func settle() throws(BusFailure)

  /// Takes back what `send` began.
  func abort() throws(BusFailure)

  /// Reads the batch that was polled last again, and before it the one whose transaction did not end well, as far as their partitions are still
  /// ours.
  func rewind() throws(BusFailure)

  /// Forgets consumer and producer and opens them anew.
  func reopen() throws(BusFailure)

  /// Ends a waiting `poll`. From any thread.
  func wake()

  /// Frees everything. `leaving` when it is not opened again at once: the group is told, so that others get the partitions.
  func close(leaving: Bool)
}

extension Bus {
  func headers(of origin: RecordOrigin) -> String? { nil }
}

/// A record of a stage's topic.
struct BusRecord: Sendable {
  var value: [UInt8]?
  var key: [UInt8]?
  var hop: HopHeader?
  /// The header by which a record of a further topic is known to the outbox.
  var header: [UInt8]?
  /// The trace that a message belongs to; nil where it says none.
  var trace: TraceId?
  var origin: RecordOrigin
}

/// What went wrong on the bus, for the loop and for the log.
struct BusFailure: Error, Sendable {
  var kind: DeliveryLoop.Failure
  var message: String
  /// The records because of which it went wrong; the others may be sent without them.
  var refused: [UndeliverableHop] = []
}
