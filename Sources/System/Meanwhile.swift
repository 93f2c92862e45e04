/// What a thread does every now and then while it waits for work that runs elsewhere: it keeps something alive that is the thread's own.
public struct Meanwhile {
  private let period: Duration
  private let act: () -> Void
  private var due: ContinuousClock.Instant

  /// Acts each time the period is over, counted from now.
  public init(every milliseconds: Int, _ act: @escaping () -> Void) {
    period = .milliseconds(milliseconds)
    self.act = act
    due = .now + period
  }

  /// Waits for the signal, however often the period ends before.
  mutating func wait(for signal: Semaphore) {
    while true {
      let left = ContinuousClock.now.duration(to: due).components
      let milliseconds = Int(left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000)
      if milliseconds <= 0 {
        act()
        due = .now + period
      } else if signal.wait(milliseconds: milliseconds) {
        return
      }
    }
  }
}
