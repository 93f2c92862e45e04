import Registration
import Routing

extension [IncomingMessage] {
  /// Gives foreign messages that are to be judged their run and try.
  ///
  /// - Parameters:
  ///   - foreign: the indices of the messages that `places` are of.
  ///   - known: the hops of the batch that have their verdict already.
  /// - Returns: the ids of those that repeat what the journal knows, and the hops that answer for them.
  mutating func settle(
    _ foreign: [Int], _ places: [ForeignRecord.Place], at stage: String, by routes: RouteFile, known: Set<HopId>
  ) -> (hops: Set<HopId>, done: Set<HopId>) {
    var (repeats, done, judged): (Set<HopId>, Set<HopId>, Set<HopId>) = ([], [], [])
    // What has our header speaks for a foreign message beside it, and of several foreign ones the first.
    var taken: Set<ForeignRecord> = []
    for message in self where !message.isForeign && !known.contains(message.hop.id) {
      taken.insert(ForeignRecord(message.message, stage: stage))
    }
    for (index, place) in zip(foreign, places) {
      let (message, id) = (self[index].message, self[index].hop.id)
      guard !known.contains(id), !judged.contains(id) else { continue }
      let isRepeat = place.isOpen || place.isRepeat { routes.leadsBack(from: $0, to: stage, of: message.process) }
      if isRepeat || !taken.insert(ForeignRecord(message, stage: stage)).inserted {
        repeats.insert(id)
        done.formUnion(place.done)
      } else {
        judged.insert(id)
        self[index].hop = HopHeader(id: id, run: place.run, attempt: place.nextTry)
      }
    }
    return (repeats, done)
  }
}
