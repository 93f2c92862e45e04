import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.timeLimit(.minutes(5)))
struct DataFolderWatchTests {
  @Test func `a fault of the data folder is told with its beginning until it is over`() async throws {
    let fault = Mutex<String?>("nothing can be written: No space left on device")
    let looks = Atomic(0)
    let watch = DataFolderWatch("/data") { _ in
      looks.add(1, ordering: .relaxed)
      return fault.withLock { $0 }
    }
    watch.start()
    defer { watch.stop() }
    try await eventually("the fault is seen") { watch.fault() != nil }
    let told = try #require(watch.fault())
    #expect(told.text == "nothing can be written: No space left on device" && told.since != nil)
    // However often it is asked for, the disk is asked every few seconds.
    for _ in 1...1000 { _ = watch.fault() }
    #expect(looks.load(ordering: .relaxed) < 10)
    fault.withLock { $0 = nil }
    try await eventually("it is over") { watch.fault() == nil }
  }

  @Test func `a disk that does not answer is a fault and holds up nobody who asks`() async throws {
    let (hangs, goOn) = (Semaphore(), Semaphore())
    let watch = DataFolderWatch("/data") { _ in
      hangs.signal()
      goOn.wait()
      return nil
    }
    watch.start()
    hangs.wait()
    let now = monotonicMilliseconds()
    #expect(watch.fault(at: now) == nil)
    #expect(watch.fault(at: now + DataFolderWatch.patience + 1000)?.text.hasPrefix("the disk has not answered for") == true)
    watch.stop()
    goOn.signal()
  }
}
