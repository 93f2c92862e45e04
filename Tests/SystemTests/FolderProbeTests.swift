import Glibc
import System
import Testing

@Suite(.timeLimit(.minutes(1)))
struct FolderProbeTests {
  private static func makeFolder() -> String {
    var name = Array("/tmp/regproc-probe-XXXXXX".utf8CString)
    return name.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!).map { String(cString: $0) } ?? "" }
  }

  /// No folder with something in it can be removed.
  private static func isEmpty(_ folder: String) -> Bool { rmdir(folder) == 0 && mkdir(folder, 0o700) == 0 }

  @Test func `a folder that can be used is left as it was`() {
    let folder = Self.makeFolder()
    defer { rmdir(folder) }
    #expect(FolderProbe.fault(of: folder) == nil && FolderProbe.fault(of: folder) == nil)
    #expect(Self.isEmpty(folder))
  }

  @Test func `a folder that is gone is a fault in the system's words`() {
    let folder = Self.makeFolder()
    rmdir(folder)
    #expect(FolderProbe.fault(of: folder) == "no file can be made: No such file or directory")
  }

  @Test func `a place that takes no files is a fault`() {
    #expect(FolderProbe.fault(of: "/proc/self") != nil)
  }

  /// In a process of its own, as the limit on a file's size that stands for the full disk is the process's.
  @Test func `where only a part fits nothing can be written`() async {
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 100, rlim_max: 100)
      guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(2) }
      let folder = FolderProbeTests.makeFolder()
      let fault = FolderProbe.fault(of: folder)
      let isEmpty = FolderProbeTests.isEmpty(folder)
      rmdir(folder)
      exit(fault == "nothing can be written: only a part fits" && isEmpty ? 0 : 1)
    }
  }
}
