import StageKit
import ObjectStores
import CLinux
import Glibc
import System

/// An S3 server that checks signatures (SeaweedFS, of the tests' Python environment), started once for all tests and ended with them.
public enum S3Server {
  /// It did not begin to store in time; what it wrote.
  public struct NotStarted: Error { public var log: String }

  private static let program: String? = {
    let venv = getenv("REGPROC_TEST_VENV").map { String(cString: $0) } ?? ".build/venv"
    let path = venv + "/bin/weed"
    guard access(path, X_OK) == 0, let full = realpath(path, nil) else { return nil }
    defer { free(full) }
    return String(cString: full)
  }()

  /// Whether there is one; when not, the reader of the log is told so, since a skipped proof must not look like one.
  public static let isThere: Bool = {
    if program != nil { return true }
    let words = "NOT TESTED: there is no S3 server here. scripts/test-venv installs one from PyPI into REGPROC_TEST_VENV.\n"
    _ = Array(words.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    return false
  }()

  private static let accessKey = "TESTKEY"
  private static let secretKey = "made-up/secret+key"
  private static let folder = TemporaryFolder.make()
  private static let start = Task { try await launch() }

  /// Where it is and the keys it takes; the first call starts it.
  public static func settings() async throws -> S3Settings {
    S3Settings(url: try await start.value, accessKey: accessKey, secretKey: secretKey)
  }

  /// A store on it.
  public static func store(accountIsBucket: Bool) async throws -> S3ObjectStore {
    var settings = try await settings()
    settings.accountIsBucket = accountIsBucket
    return S3ObjectStore(settings, http: CurlExchange())
  }

  private static func launch() async throws -> String {
    let ports = FreePort.choose(8) ?? []
    let configuration =
      #"{"identities":[{"name":"test","credentials":[{"accessKey":"\#(accessKey)","secretKey":"\#(secretKey)"}],"actions":["Admin","Read","Write","List","Tagging"]}]}"#
    let file = folder + "/s3.json"
    let handle = fopen(file, "we")
    fputs(configuration, handle)
    fclose(handle)
    mkdir(folder + "/data", 0o700)
    let arguments = [
      program ?? "", "server", "-dir=\(folder)/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.port=\(ports[0])",
      "-master.port.grpc=\(ports[1])", "-volume.port=\(ports[2])", "-volume.port.grpc=\(ports[3])", "-filer.port=\(ports[4])",
      "-filer.port.grpc=\(ports[5])", "-s3", "-s3.port=\(ports[6])", "-s3.port.grpc=\(ports[7])", "-s3.config=\(file)",
      "-s3.iam=false",
      "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumePreallocate=false", "-master.volumeSizeLimitMB=64",
      "-volume.max=400",
      "-master.telemetry=false",
    ]
    let log = folder + "/log"
    let started = Semaphore()
    // It dies with the thread that starts it, and that lives as long as the process.
    OwnedThread.start("s3-server") {
      let out = open(log, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
      var words = arguments.map { UnsafePointer(strdup($0)) as UnsafePointer<CChar>? } + [nil]
      var environment: [UnsafePointer<CChar>?] = [
        // Each bucket is a collection of its own; one volume for it is enough here.
        UnsafePointer(strdup("HOME=\(folder)")), UnsafePointer(strdup("WEED_MASTER_VOLUME_GROWTH_COPY_1=1")), nil,
      ]
      let made = words.withUnsafeMutableBufferPointer { words in
        environment.withUnsafeMutableBufferPointer { environment in
          folder.withCString { folder in
            var plan = regproc_spawn_plan(
              argv: words.baseAddress, envp: environment.baseAddress, uid: UInt32.max, gid: UInt32.max, death_signal: SIGKILL,
              stdout_fd: out, stderr_fd: out, folder: folder)
            return regproc_spawn(&plan)
          }
        }
      }
      precondition(made > 0, "the S3 server cannot be started")
      started.signal()
      while true { pause() }
    }
    await BlockingPool(name: "s3-start", threads: 1).runQuietly { started.wait() }
    let url = "http://127.0.0.1:\(ports[6])"
    let settings = S3Settings(url: url, accessKey: accessKey, secretKey: secretKey)
    let store = S3ObjectStore(settings, http: CurlExchange())
    // It answers before it can store.
    let isUp = try await eventually(within: .seconds(120)) {
      (try? await store.put([1], account: "started", container: "c", key: "k")) != nil
    }
    guard isUp else { throw NotStarted(log: tail(of: log)) }
    atexit { TemporaryFolder.remove(S3Server.folder) }
    return url
  }
}

extension S3Server {
  private static func tail(of path: String) -> String {
    guard let file = fopen(path, "re") else { return "" }
    defer { fclose(file) }
    fseek(file, -2000, SEEK_END)
    var bytes = [UInt8](repeating: 0, count: 2000)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}

extension BlockingPool {
  fileprivate func runQuietly(_ body: @escaping @Sendable () -> Void) async {
    try? await run(body)
    close()
  }
}
