import Glibc

/// What was waited for did not happen in the time that a busy machine may need.
struct DidNotHappen: Error, CustomStringConvertible {
  let description: String
}

/// Waits until something holds; false when it did not in the time that a busy machine may need.
func eventually(within limit: Duration = .seconds(120), _ holds: () async throws -> Bool) async throws -> Bool {
  let end = ContinuousClock.now + limit
  while ContinuousClock.now < end {
    if try await holds() { return true }
    try await Task.sleep(for: .milliseconds(10))
  }
  return try await holds()
}

/// Waits until something holds.
/// - Parameter what: what is waited for.
/// - Throws: `DidNotHappen` when it did not in the time that a busy machine may need.
func eventually(
  _ what: @autoclosure () -> String, within limit: Duration = .seconds(120), _ holds: () async throws -> Bool
) async throws {
  guard try await eventually(within: limit, holds) else { throw DidNotHappen(description: what()) }
}

/// Waits until something holds, on a thread that may be blocked.
/// - Parameter what: what is waited for.
/// - Throws: `DidNotHappen` when it did not in the time that a busy machine may need.
func eventually(
  blocking what: @autoclosure () -> String, within limit: Duration = .seconds(120), _ holds: () throws -> Bool
) throws {
  let end = ContinuousClock.now + limit
  while try !holds() {
    guard ContinuousClock.now < end else { throw DidNotHappen(description: what()) }
    usleep(2000)
  }
}
