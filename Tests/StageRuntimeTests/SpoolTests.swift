import Glibc
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// Requests that are kept in the data folder until they can be taken.
@Suite(.timeLimit(.minutes(5))) final class SpoolTests {
  /// Who takes requests: it may be away, and it may refuse some.
  private final class Taker: Sendable {
    struct State {
      var taken: [String] = []
      var tries = 0
      var away: Set<String> = []
      var isAway = false
      var refused: [String: String] = [:]
    }
    let state = Mutex(State())

    func take(_ request: SpooledRequest) throws {
      let body = String(decoding: request.body, as: UTF8.self)
      try state.withLock { state in
        state.tries += 1
        if state.isAway || state.away.contains(body) {
          throw ServiceError(.unavailable, service: "database", code: "RPR-SYS-012", "away")
        }
        if let code = state.refused[body] { throw WorkFailure(code: code, "refused") }
        state.taken.append(body)
      }
    }
    func set(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }
    var taken: [String] { state.withLock { $0.taken } }
  }

  private let folder = TemporaryFolder.make()
  private let taker = Taker()
  private let key = [UInt8](repeating: 7, count: 32)
  private var path: String { folder + "/spool/mediator" }

  deinit { TemporaryFolder.remove(folder) }

  private func spool(limit: Int = 1 << 20) -> StageSpool {
    StageSpool("mediator", SpoolSettings(folder: folder + "/spool", key: key, limit: limit))
  }

  private func drain(_ spool: StageSpool) -> SpoolDrain {
    let taker = taker
    let drain = SpoolDrain(spool, isThere: { !taker.state.withLock { $0.isAway } }, take: { try taker.take($0) })
    drain.start()
    return drain
  }

  private func end(_ drain: SpoolDrain) async {
    drain.stop()
    let blocking = BlockingPool(name: "end", threads: 1)
    defer { blocking.close() }
    try? await blocking.run { drain.join() }
  }

  private func request(_ body: String, of group: String? = nil) -> SpooledRequest {
    SpooledRequest("webhook", group: group ?? body, body: Array(body.utf8))
  }

  private func waiting() -> [String] { SpoolFolder(path: path).names() }
  private func aside() -> [String] { SpoolFolder(path: path).allAside().map(\.code) }

  @Test func `what is kept is sealed, waits while nothing can be taken, and is taken in the order in which it came`() async throws {
    taker.set { $0.isAway = true }
    let spool = spool()
    #expect(await !spool.isWaiting())
    let all = (0..<12).map { "Amina \($0)" }
    for body in all { try await spool.keep(request(body)) }
    #expect(await spool.isWaiting())
    #expect(spool.state.contents.waiting == 12 && spool.state.contents.since != nil)
    for name in waiting() {
      let bytes = try #require(try SpoolFolder(path: path).read(name))
      #expect(!String(decoding: bytes, as: UTF8.self).contains("Amina"))
    }
    var status = stat()
    #expect(stat("\(path)/\(waiting()[0])", &status) == 0 && status.st_mode & 0o777 == 0o600)

    let drain = drain(spool)
    try await eventually("a try") { self.taker.state.withLock { $0.tries > 0 } && spool.state.waitsFor != nil }
    #expect(taker.taken == [] && waiting().count == 12)
    taker.set { $0.isAway = false }
    try await eventually("all are taken") { self.waiting().isEmpty }
    #expect(taker.taken == all)
    try await eventually("health knows") { spool.state.contents == SpoolFolder.Contents() && spool.state.waitsFor == nil }
    #expect(spool.kept.load(ordering: .relaxed) == 12 && spool.taken.load(ordering: .relaxed) == 12)
    #expect(await !spool.isWaiting())
    await end(drain)
  }

  @Test func `what was taken but not removed by a process that was killed is given once more, and a stop leaves what waits`()
    async throws
  {
    let spool = spool()
    try await spool.keep(request("one"))
    try await spool.keep(request("two"))
    let first = waiting()[0]
    let bytes = try #require(try SpoolFolder(path: path).read(first))
    let drain = drain(spool)
    try await eventually("both are taken") { self.waiting().isEmpty }
    await end(drain)
    // The file that a killed process did not come to remove.
    try SpoolFolder(path: path).add(bytes, as: first)
    let next = self.spool()
    #expect(next.state.contents.waiting == 1, "told before anybody takes")
    taker.set { $0.isAway = true }
    let stopped = self.drain(next)
    try await eventually("a try") { next.state.waitsFor != nil }
    await end(stopped)
    #expect(waiting() == [first])
    taker.set { $0.isAway = false }
    let again = self.drain(self.spool())
    try await eventually("it is given again") { self.waiting().isEmpty }
    #expect(taker.taken == ["one", "two", "one"])
    await end(again)
  }

  @Test func `what is damaged, changed, renamed or refused is set aside and stops nothing behind it, and can be put back`()
    async throws
  {
    let spool = spool()
    for body in ["cut", "changed", "swapped", "refused", "good", "better"] { try await spool.keep(request(body)) }
    let names = waiting()
    truncate("\(path)/\(names[0])", 20)
    let changed = open("\(path)/\(names[1])", O_WRONLY)
    #expect(pwrite(changed, "x", 1, 30) == 1)
    close(changed)
    // Another stage's, and another number's, do not open either.
    #expect(
      SpoolSeal(key: key).open(try #require(try SpoolFolder(path: path).read(names[2])), stage: "other", name: names[2]) == nil)
    #expect(rename("\(path)/\(names[5])", "\(path)/\(names[2])") == 0)
    taker.set { $0.refused = ["refused": "OPN-CRVS-015"] }
    let drain = drain(spool)
    try await eventually("nothing waits") { self.waiting().isEmpty }
    #expect(taker.taken == ["good"])
    #expect(aside() == ["RPR-SPL-002", "RPR-SPL-002", "RPR-SPL-002", "OPN-CRVS-015"])
    try await eventually("health counts them") { spool.state.contents.setAside == 4 }

    let files = SpoolFiles(stage: "mediator", in: folder + "/spool")
    #expect(files.setAside.map(\.code) == aside() && files.waiting == 0)
    taker.set { $0.refused = [:] }
    #expect(try files.retry(files.setAside.last?.number) == 1)
    try await eventually("it is taken after all") { self.taker.taken == ["good", "refused"] }
    await end(drain)
  }

  @Test func `a request that cannot be taken now holds up its own group and nobody else`() async throws {
    taker.set { $0.away = ["a1"] }
    let spool = spool()
    for (body, group) in [("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b"), ("c1", "c")] {
      try await spool.keep(request(body, of: group))
    }
    let drain = drain(spool)
    try await eventually("the others") { self.waiting().count == 2 }
    #expect(taker.taken == ["b1", "b2", "c1"])
    taker.set { $0.away = [] }
    try await eventually("all") { self.waiting().isEmpty }
    #expect(taker.taken == ["b1", "b2", "c1", "a1", "a2"])
    await end(drain)
  }

  @Test func `a spool that is full or cannot be written keeps nothing and says so, and keeps again when there is room`()
    async throws
  {
    taker.set { $0.isAway = true }
    let small = spool(limit: 2000)
    for body in 0..<2 { try await small.keep(request("\(body)" + String(repeating: "x", count: 800), of: "g")) }
    let third = request(String(repeating: "y", count: 800), of: "g")
    let refusal = await #expect(throws: ServiceError.self) { try await small.keep(third) }
    #expect(refusal?.code == "RPR-SPL-001" && refusal?.isRetriable == true)
    #expect(small.state.fault?.contains("spool.limit-mib") == true && waiting().count == 2)
    taker.set { $0.isAway = false }
    let drain = drain(small)
    try await eventually("room") { small.state.contents.waiting == 0 }
    try await small.keep(request("later"))
    #expect(small.state.fault == nil)
    await end(drain)

    // Root may write where others may not; nobody makes a folder where a file is.
    let blocked = StageSpool("mediator", SpoolSettings(folder: "/dev/null/spool", key: key, limit: 1 << 20))
    let other = await #expect(throws: ServiceError.self) { try await blocked.keep(self.request("x")) }
    #expect(other?.code == "RPR-SPL-001" && blocked.state.fault != nil)
  }

  @Test func `a disk that is full while a request is written leaves nothing of it`() async throws {
    var files = SpoolFolder(path: path)
    try files.make()
    files.write = { bytes, file in
      #expect(pwrite(file, bytes, bytes.count / 2, 0) == bytes.count / 2)
      errno = ENOSPC
      return false
    }
    let name = try files.nextName()
    let refusal = #expect(throws: ServiceError.self) { try files.add(Array(repeating: 1, count: 1000), as: name) }
    #expect(refusal?.code == "RPR-SPL-001" && refusal?.message.contains("No space left on device") == true)
    #expect(TemporaryFolder.names(in: path) == ["aside", "number"])
  }

  @Test func `of two processes on one folder one takes, in the order over both, and the other one goes on when it ends`()
    async throws
  {
    taker.set { $0.isAway = true }
    let (one, two) = (spool(), spool())
    let first = drain(one)
    try await eventually("one owns it") { one.state.isOwner }
    let second = drain(two)
    for number in 0..<6 { try await (number % 2 == 0 ? one : two).keep(request("\(number)")) }
    #expect(await two.isWaiting())
    try await eventually("both know") { one.state.contents.waiting == 6 && two.state.contents.waiting == 6 }
    #expect(!two.state.isOwner)
    await end(first)
    taker.set { $0.isAway = false }
    try await eventually("the other one takes") { self.waiting().isEmpty }
    #expect(two.state.isOwner && taker.taken == (0..<6).map(String.init))
    await end(second)
  }

  @Test func `what was set aside is put back while another process takes, by several at once, and each is taken once`() async throws
  {
    let all = (0..<60).map { "\($0)" }
    taker.set { $0.refused = Dictionary(uniqueKeysWithValues: all.map { ($0, "OPN-CRVS-015") }) }
    let spool = spool()
    let drain = drain(spool)
    for body in all { try await spool.keep(request(body)) }
    try await eventually("all are set aside") { self.aside().count == all.count }
    // Of two that have seen the same list one puts back.
    let files = SpoolFolder(path: path)
    let entry = try #require(files.allAside().last)
    #expect(try [files.putBack(entry), files.putBack(entry)] == [true, false])
    try await eventually("it is set aside again") { self.aside().count == all.count }

    taker.set { $0.refused = [:] }
    let folder = folder
    let count = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<4 { group.addTask { try SpoolFiles(stage: "mediator", in: folder + "/spool").retry() } }
      return try await group.reduce(0, +)
    }
    #expect(count == all.count, "each is counted by who put it back")
    try await eventually("all are taken") { self.taker.taken.count >= all.count }
    #expect(taker.taken.sorted() == all.sorted() && waiting().isEmpty && aside().isEmpty)
    try await eventually("health knows") { spool.state.contents == SpoolFolder.Contents() }
    await end(drain)
  }

  @Test func `a spool that passes from owner to owner while requests come and are put back takes each once and in order`()
    async throws
  {
    let spools = [spool(), spool()]
    var drains = spools.map { drain($0) }
    let bodies = (0..<90).map { "\($0 % 3)-\($0)" }
    taker.set { $0.refused = ["0-30": "X", "1-31": "X", "2-32": "X"] }
    let requests = bodies.map { request($0, of: String($0.prefix(1))) }
    let keeper = Task { for (number, request) in requests.enumerated() { try await spools[number % 2].keep(request) } }
    for round in 0..<6 {
      let place = round % 2
      try await eventually("somebody owns it") { spools.contains { $0.state.isOwner } }
      await end(drains[place])
      #expect(!spools[place].state.isOwner, "who has ended takes no more")
      try await eventually("the other one owns it") { spools[1 - place].state.isOwner }
      if round == 3 { taker.set { $0.refused = [:] } }
      _ = try SpoolFiles(stage: "mediator", in: folder + "/spool").retry()
      drains[place] = drain(spools[place])
    }
    try await keeper.value
    try await eventually("all are taken") {
      _ = try? SpoolFiles(stage: "mediator", in: self.folder + "/spool").retry()
      return self.taker.taken.count >= bodies.count
    }
    for drain in drains { await end(drain) }
    #expect(taker.taken.sorted() == bodies.sorted())
    for group in ["0", "1", "2"] {
      // Those that were set aside come when they were put back.
      let order = taker.taken.filter { $0.hasPrefix(group) && !["0-30", "1-31", "2-32"].contains($0) }
      #expect(order == bodies.filter { order.contains($0) && $0.hasPrefix(group) })
    }
  }

  @Test func `what was never written to its end is removed by the next owner, unless somebody still writes it`() async throws {
    let files = SpoolFolder(path: path)
    try files.make()
    for name in ["1.part", "2.part"] { close(open("\(path)/\(name)", O_CREAT | O_WRONLY, 0o600)) }
    let writer = open("\(path)/2.part", O_WRONLY)
    #expect(flock(writer, LOCK_EX) == 0)
    let drain = drain(spool())
    try await eventually("one is gone") { !TemporaryFolder.names(in: self.path).contains("1.part") }
    #expect(TemporaryFolder.names(in: path).contains("2.part") && aside().isEmpty)
    close(writer)
    await end(drain)
  }

  @Test func `numbers only grow, also when their file is lost and what is set aside has the highest one`() async throws {
    let files = SpoolFolder(path: path)
    try files.make()
    for _ in 0..<3 { try files.add([1], as: try files.nextName()) }
    let last = files.names()[2]
    try files.setAside(last, "X")
    unlink("\(path)/number")
    #expect(try files.nextName() > last)
  }
}
