import JSON
import StageKit
import System

/// What health and metrics tell of a spool.
extension StageSpool {
  var json: JSONValue {
    let state = state
    return [
      "stage": .string(stage), "waiting": JSONValue(state.contents.waiting), "bytes": JSONValue(state.contents.bytes),
      "since": JSONValue(state.contents.since?.iso), "setAside": JSONValue(state.contents.setAside),
      "takenHere": .bool(state.isOwner), "waitsFor": JSONValue(state.waitsFor), "fault": JSONValue(state.fault),
    ]
  }

  func tell(_ text: inout MetricsText) {
    let contents = state.contents
    text.add(.spoolKept, stage, value: kept.load(ordering: .relaxed))
    text.add(.spoolTaken, stage, value: taken.load(ordering: .relaxed))
    text.add(.spoolWaiting, stage, value: contents.waiting)
    text.add(.spoolSetAside, stage, value: contents.setAside)
    text.add(.spoolOldest, stage, value: contents.since.map { max(0, Int(Instant.now.seconds(since: $0))) } ?? 0)
  }
}
