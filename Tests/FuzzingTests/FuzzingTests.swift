import Fuzzing
import Glibc
import Testing

/// A short run that is always the same; `make fuzz` runs for as long as one likes, guided by coverage.
@Suite("Fuzzing", .timeLimit(.minutes(10))) struct FuzzingTests {
  /// The committed inputs of a target, by name.
  static func corpus(_ target: FuzzTarget) -> [[UInt8]] {
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let folder = "\(root)/Tests/FuzzingTests/Corpus/\(target.rawValue)"
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted().map { name in
      guard let file = fopen("\(folder)/\(name)", "r") else { return [] }
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
    }
  }

  @Test(arguments: FuzzTarget.allCases)
  func `Each reader keeps its promises on its corpus and on thousands of inputs made from it`(target: FuzzTarget) {
    let corpus = Self.corpus(target)
    #expect(!corpus.isEmpty)
    for input in corpus { target.run(input) }
    var mutate = Mutation(seed: 20_240_229)
    // RSA takes its time.
    for round in 0..<(target == .packet || target == .token ? 300 : 3_000) {
      target.run(mutate(corpus[round % corpus.count], corpus[(round / corpus.count) % corpus.count]))
    }
  }
}
