import Glibc

/// Waits until something holds; false, with a line on stderr that says where, when it never did.
/// - Parameter seconds: how long: by itself more than a busy machine needs.
public func eventually(
  seconds: Double = 180, file: StaticString = #fileID, line: Int = #line, _ holds: () async throws -> Bool
) async throws -> Bool {
  let end = ContinuousClock.now + .seconds(seconds)
  while ContinuousClock.now < end {
    if try await holds() { return true }
    try await Task.sleep(for: .milliseconds(20))
  }
  if try await holds() { return true }
  let words = "\(file):\(line): waited \(seconds) s in vain\n"
  _ = Array(words.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  return false
}
