import Glibc
import JSON

/// The built program, run as a person runs it.
enum RegprocProgram {
  struct Ended: Sendable {
    var code: Int32
    var output: String
    var errors: String
  }

  /// The binary beside the tests.
  static let path: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    let own = String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
    return own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/regproc"
  }()

  /// The repository: four folders above a file of this one.
  static let repository: String = {
    "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
  }()

  /// Runs it to its end.
  /// - Parameters:
  ///   - environment: nothing of the tests' own environment but the PATH is inherited.
  ///   - folder: the current folder; the repository unless another one is given.
  static func run(_ words: String..., environment: [String: String] = [:], folder: String? = nil) async throws -> Ended {
    try await run(words, environment, folder ?? repository)
  }

  private static func run(_ words: [String], _ environment: [String: String], _ folder: String) async throws -> Ended {
    try await withCheckedThrowingContinuation { continuation in
      // A thread of its own: waiting for a process blocks.
      let job = Job { continuation.resume(with: Result { try launch(words, environment, folder) }) }
      var thread = pthread_t()
      let raw = Unmanaged.passRetained(job).toOpaque()
      pthread_create(
        &thread, nil,
        { raw in
          Unmanaged<Job>.fromOpaque(raw!).takeRetainedValue().body()
          return nil
        }, raw)
      pthread_detach(thread)
    }
  }

  private final class Job: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private struct NotStarted: Error { var code: Int32 }

  private static func launch(_ words: [String], _ environment: [String: String], _ folder: String) throws -> Ended {
    let place = try TemporaryFolder()
    let (out, err) = (place.path + "/out", place.path + "/err")
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_addchdir_np(&actions, folder)
    var variables = environment
    variables["PATH"] = getenv("PATH").map { String(cString: $0) }
    var arguments = ([path] + words).map { strdup($0) } + [nil]
    var pairs = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in arguments + pairs { free(text) } }
    var process = pid_t()
    let code = posix_spawn(&process, path, &actions, nil, &arguments, &pairs)
    guard code == 0 else { throw NotStarted(code: code) }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    // WEXITSTATUS, or 128 and the signal as a shell says it.
    let ended = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    return Ended(code: ended, output: read(out), errors: read(err))
  }

  private static func read(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { all += buffer[..<count] }
    return String(decoding: all, as: UTF8.self)
  }
}

/// A folder that goes with the value that made it.
final class TemporaryFolder {
  let path: String

  struct NotMade: Error {}

  init() throws {
    var template = Array("/tmp/regproc-cli-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw NotMade() }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    // Everything in it was made by the test; a link is removed, not followed.
    nftw(path, { path, _, _, _ in remove(path!) }, 16, Int32(FTW_DEPTH.rawValue | FTW_PHYS.rawValue))
  }

  func write(_ text: String, to name: String) throws -> String {
    let file = path + "/" + name
    guard let handle = fopen(file, "w") else { throw NotMade() }
    defer { fclose(handle) }
    fputs(text, handle)
    return file
  }
}
