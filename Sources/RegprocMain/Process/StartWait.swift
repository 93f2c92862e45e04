import HTTP
import Kafka
import Postgres
import StageRuntime
import Synchronization
import System

/// The wait of a process that starts before what it needs: Postgres, its migrations, Kafka, topics that somebody else makes. It asks again with growing
/// pauses and says for what; meanwhile liveness is answered, and readiness says 503.
final class StartWait: Sendable {
  /// It is over: somebody asked the process to stop.
  struct Stopped: Error {}

  private let settings: Settings
  private let signals: Signals
  /// When it gives up; nil for never.
  private let end: ContinuousClock.Instant?
  private let intake: EarlyIntake?
  private let blocking = BlockingPool(name: "start", threads: 1)
  private let tell: @Sendable (String) -> Void
  private let log = Log("start")
  private static let backoff = Backoff(first: 0.5, longest: 15)

  /// - Parameters:
  ///   - seconds: how long it waits in all; nil for without end.
  ///   - intake: what is served meanwhile to those who do not come again.
  ///   - tell: is told each thing that is waited for, once.
  init(
    _ settings: Settings, _ signals: Signals, seconds: Int?, intake: EarlyIntake? = nil,
    tell: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.settings = settings
    self.intake = intake
    self.signals = signals
    self.tell = tell
    end = seconds.map { ContinuousClock.now + .seconds($0) }
  }

  /// Waits until the database answers and has its migrations, then until Kafka answers; then starts.
  /// - Parameter start: is called again when what it needs is gone once more, or its topics are not there yet.
  /// - Throws: `Stopped`; the last error when the time is over; at once what no waiting helps against.
  func through<T: Sendable>(_ start: @Sendable () async throws -> T) async throws -> T {
    defer { blocking.close() }
    var tries = 0
    var told: String?
    var listener: WaitingListener?
    do {
      while true {
        do {
          try intake?.open()
          try await unlessStopped { try await self.check() }
          await listener?.close()
          listener = nil
          return try await start()
        } catch {
          guard !signals.isStopping else { throw signals.cause ?? Stopped() }
          guard let thing = Self.awaited(error) else { throw error }
          guard end.map({ ContinuousClock.now < $0 }) ?? true else {
            if tries > 0 { throw Failure("waited in vain for \(thing): \(error)") }
            throw error
          }
          if told != thing { tell(thing) }
          told = thing
          listener = try listener ?? open()
          listener?.waits(for: thing)
          tries += 1
          let pause = Self.backoff.pause(after: tries)
          log.warning("waits for \(thing)", ["error": "\(error)", "again in seconds": pause])
          try await rest(pause)
        }
      }
    } catch {
      await listener?.close()
      await intake?.close()
      throw error
    }
  }

  private func open() throws -> WaitingListener {
    var admin = settings.admin
    admin.tls = try settings.tls("admin")
    return try WaitingListener(admin, access: settings.adminAccess, mayMove: settings.adminMayMove)
  }

  private func check() async throws {
    let (database, kafka) = (try settings.database(), try settings.kafka())
    let appliesMigrations = settings.appliesMigrations
    try await blocking.run {
      if let database {
        let connection = try Connection(database)
        defer { connection.close() }
        if !appliesMigrations { try ProgramSchema.require(on: connection) }
      }
      if let kafka { _ = try KafkaAdmin(settings: kafka, requestMilliseconds: 4000, totalMilliseconds: 4000).metadata() }
    }
  }

  /// What an error means that something is awaited; nil when waiting does not help.
  private static func awaited(_ error: any Error) -> String? {
    switch error {
    case let error as PostgresError:
      switch error.code {
      case .migrationsMissing: "migrations of the database"
      case .connectionFailed, .poolExhausted: "the database"
      default: error.isRetriable ? "the database" : nil
      }
    case let error as KafkaError:
      switch error.code {
      case .configuration, .fenced: nil
      default: "Kafka"
      }
    case is TopicCare.Missing: "topics on Kafka"
    default: nil
    }
  }

  /// What hangs at an address that does not answer is left behind when somebody asks to stop.
  private func unlessStopped(_ work: @escaping @Sendable () async throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let end = First(continuation)
      Task {
        do {
          try await work()
          end.resume(with: .success(()))
        } catch {
          end.resume(with: .failure(error))
        }
      }
      Task {
        while !signals.isStopping, !end.isOver { try await Task.sleep(for: .milliseconds(100)) }
        end.resume(with: .failure(Stopped()))
      }
    }
  }

  /// Resumes with the first of several outcomes.
  private final class First: Sendable {
    private let continuation: Mutex<CheckedContinuation<Void, any Error>?>
    init(_ continuation: CheckedContinuation<Void, any Error>) { self.continuation = Mutex(continuation) }
    var isOver: Bool { continuation.withLock { $0 == nil } }
    func resume(with result: Result<Void, any Error>) {
      let waiting = continuation.withLock { waiting in
        defer { waiting = nil }
        return waiting
      }
      waiting?.resume(with: result)
    }
  }

  private func rest(_ seconds: Double) async throws {
    let until = ContinuousClock.now + .milliseconds(Int64(seconds * 1000))
    while ContinuousClock.now < until, end.map({ ContinuousClock.now < $0 }) ?? true {
      if signals.isStopping { throw Stopped() }
      try await Task.sleep(for: .milliseconds(100))
    }
    if signals.isStopping { throw Stopped() }
  }
}
