import Fuzzing
import Glibc

/// libFuzzer's own entry (FuzzerInterface.h), for programs that have a `main`.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>,
  _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Runs libFuzzer on the reader that REGPROC_FUZZ_TARGET names.
@main
struct Fuzz {
  static let target: FuzzTarget = {
    guard let name = getenv("REGPROC_FUZZ_TARGET").map({ String(cString: $0) }), let target = FuzzTarget(rawValue: name)
    else {
      fatalError("REGPROC_FUZZ_TARGET must be one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return target
  }()

  static func main() {
    var count = CommandLine.argc
    var words = CommandLine.unsafeArgv
    exit(
      runDriver(&count, &words) { bytes, count in
        Fuzz.target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
        return 0
      })
  }
}
