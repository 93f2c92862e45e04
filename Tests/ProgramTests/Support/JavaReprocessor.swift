import JSON
import Kafka
import Postgres
import System

/// MOSIP's reprocessor at one row: the message is sent first, each copy with a time of its own and the RID as key, then it writes its
/// transaction and the row.
struct JavaReprocessor: Sendable {
  let kafka: KafkaSettings
  let database: PostgresSettings

  /// Repeats the last step of a registration whose stage was done: the message goes to that stage's output, else to its input.
  func repeats(_ rid: String, topic: String, copies: Int) throws {
    let connection = try Connection(database)
    defer { connection.close() }
    let row = try connection.execute(
      "SELECT workflow_instance_id, process, source, reg_stage_name FROM regprc.registration WHERE reg_id = $1", [.text(rid)]
    ).only()
    let instance = try row.text(0)
    let producer = try KafkaProducer(settings: kafka)
    for _ in 0..<copies {
      let message: JSONValue = [
        "reg_type": .string(try row.text(1)), "rid": .string(rid), "isValid": true, "internalError": .null,
        "messageBusAddress": .null, "retryCount": .null, "tags": .object([:]), "lastHopTimestamp": .string(Instant.now.iso),
        "source": JSONValue(try row.textOrNull(2)), "iteration": .number(JSONNumber(1)), "workflowInstanceId": .string(instance),
      ]
      try producer.produce(
        topic: topic, key: Array(rid.utf8), value: message.encoded(),
        headers: [RecordHeader("b3", Array(JavaPeer.b3.utf8)), RecordHeader("RID", Array(rid.utf8))])
      // Two copies differ by their times.
      _ = Semaphore().wait(milliseconds: 2)
    }
    if let failed = producer.flush().first { throw failed.error }
    let stage = JavaNeighbour.Stage(
      prefix: "reprocessor", className: try row.textOrNull(3) ?? "", transactionType: "PACKET_REPROCESS",
      subStatusCode: "RPR-RPS-SUCCESS-001", statusCode: "REPROCESS")
    let status = try JavaStatusService(stage, database: database, clock: { .now })
    defer { status.close() }
    try status.update(
      status.registration(["workflowInstanceId": .string(instance)]), rid: rid, subStatusCode: stage.subStatusCode
    ) { _ in }
  }
}
