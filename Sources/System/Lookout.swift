import Synchronization

/// A thread that looks at something every so often, and at once when it is told to.
public final class Lookout: Sendable {
  private let name: String
  private let period: Int
  private let stopping = Atomic(false)
  private let bell = Semaphore()
  private let ended = Semaphore()

  /// A thread that does not run yet.
  /// - Parameters:
  ///   - name: the thread's.
  ///   - period: milliseconds from the end of one look to the next.
  public init(_ name: String, every period: Int) { (self.name, self.period) = (name, period) }

  /// Begins.
  /// - Parameters:
  ///   - isSeen: somebody has looked this moment, so the first look comes when the period is over.
  ///   - whenFailing: told of the first failure of several in a row.
  ///   - whenOver: called after the last look.
  ///   - look: looks once; may stop the looks.
  public func start(
    isSeen: Bool = false, whenFailing: @escaping @Sendable (any Error) -> Void = { _ in },
    whenOver: @escaping @Sendable () -> Void = {}, _ look: @escaping @Sendable () throws -> Void
  ) {
    OwnedThread.start(name) {
      if isSeen { self.rest() }
      var isFailing = false
      while !self.isStopping {
        do {
          try look()
          isFailing = false
        } catch {
          if !isFailing { whenFailing(error) }
          isFailing = true
        }
        self.rest()
      }
      whenOver()
      self.ended.signal()
    }
  }

  /// Whether the looks are to end.
  public var isStopping: Bool { stopping.load(ordering: .acquiring) }

  /// Has it look at once.
  public func ring() { bell.signal() }

  /// Ends the looks; does not wait for the one under way.
  public func stop() {
    stopping.store(true, ordering: .releasing)
    bell.signal()
  }

  /// Waits for the thread to end. Never call it from a task.
  public func join() {
    ended.wait()
    // Also for the next one who waits.
    ended.signal()
  }

  /// For a look that takes long: waits so long, less when it is to end.
  public func rest(milliseconds: Int? = nil) { if !isStopping { _ = bell.wait(milliseconds: milliseconds ?? period) } }
}
