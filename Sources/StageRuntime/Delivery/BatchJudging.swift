import StageKit

extension Concluder {
  /// Has a message judged, and decides what follows. The version of the route file is looked for first: where it cannot be had, nobody was asked.
  nonisolated(nonsending) func conclude(
    _ incoming: IncomingMessage, by judge: Judge, _ source: HopSource
  ) async throws -> ConcludedHop {
    let other = try await version(for: incoming)
    return (other ?? self).conclude(
      incoming, try await judge.judge(incoming), at: judge.stage.file, other == nil ? source : nil,
      now: judge.stage.context.clock.now)
  }
}

/// Judges a batch: the messages of one RID in their order, several RIDs at the same time.
nonisolated(nonsending) func judgeAll(
  _ batch: [IncomingMessage], _ judge: Judge, _ concluder: Concluder
) async -> Result<[ConcludedHop], any Error> {
  do {
    let source = concluder.source(judge.stage.file)
    let lanes = min(judge.stage.file.parallelism, batch.count)
    if lanes <= 1 {
      var out: [ConcludedHop] = []
      out.reserveCapacity(batch.count)
      for message in batch { out.append(try await concluder.conclude(message, by: judge, source)) }
      return .success(out)
    }
    // A RID always falls into the same lane, so its messages stay in order without a lock or a table.
    var laneOf: [[Int]] = Array(repeating: [], count: lanes)
    for (i, message) in batch.enumerated() {
      laneOf[Int(UInt64(bitPattern: Journal.lockKey(message.message.rid)) % UInt64(lanes))].append(i)
    }
    let filled = laneOf.filter { !$0.isEmpty }
    return .success(
      try await withThrowingTaskGroup(of: [(Int, ConcludedHop)].self) { group in
        for lane in filled {
          group.addTask {
            var out: [(Int, ConcludedHop)] = []
            for i in lane { out.append((i, try await concluder.conclude(batch[i], by: judge, source))) }
            return out
          }
        }
        var all: [(Int, ConcludedHop)] = []
        for try await part in group { all.append(contentsOf: part) }
        return all.sorted { $0.0 < $1.0 }.map(\.1)
      })
  } catch {
    return .failure(error)
  }
}
