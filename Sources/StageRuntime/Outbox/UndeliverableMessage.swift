import Registration
import StageKit
import System

/// A message that no broker takes, because it is larger than its topic allows: an error of the stage that it was sent to, so that it goes where the
/// route file sends errors of that stage and whoever waits for the registration is told; and a dead letter with its bytes.
enum UndeliverableMessage {
  static let code = "RPR-BUS-001"

  /// - Throws: `MessageError` when the journal has no readable message for it.
  static func conclude(_ hop: OutgoingHop, _ reason: String, key: [UInt8], by concluder: Concluder, now: Instant) throws
    -> ConcludedHop
  {
    let message = try Message(decoding: hop.message)
    let stage = StageDefinition(hop.stage, in: concluder.directory, or: concluder.routes)
    var concluded = concluder.conclude(
      message, .error(code, reason), at: stage, hop: HopHeader(id: hop.id, run: hop.run, attempt: hop.attempt), parent: hop.parent,
      origin: nil, takenAt: now, now: now, milliseconds: 0)
    concluded.follow(hop.trace)
    concluded.deadLetter =
      concluded.deadLetter
      ?? DeadLetter(
        stage: stage.name, code: code, reason: reason, rid: message.rid, hop: hop.id,
        origin: RecordOrigin(topic: hop.topic, partition: -1, offset: -1), key: key, value: hop.message)
    return concluded
  }
}
