/// Bounds of replays.
public struct ReplayLimits: Sendable, Hashable {
  /// A RID whose last so many replays ended at the same stage with the same code is held; 0 for never.
  public var holdAfter: Int
  /// So many messages that wait before the stages at which the replays of a job begin are enough: with more it waits, so that the rest of the
  /// pipeline's work is not starved.
  public var backlog: Int

  /// Bounds.
  public init(holdAfter: Int = 3, backlog: Int = 500) {
    self.holdAfter = holdAfter
    self.backlog = backlog
  }
}
