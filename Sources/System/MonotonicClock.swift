import Glibc

/// Milliseconds of the machine's monotonic clock: for intervals, which no setting of the clock may change.
public func monotonicMilliseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
