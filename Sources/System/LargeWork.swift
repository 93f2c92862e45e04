/// Where large things are worked on: packets that are read from files, which blocks, and bodies whose hash alone takes long.
package enum LargeWork {
  /// The threads themselves.
  package static let threads = BlockingPool(name: "large-work", threads: 2)
  /// Bytes from which the hash of a body is worth a change of threads.
  private static let manyBytes = 256 << 10

  /// Runs work on a packet here when it is large, else where the caller is.
  package static func with<T: Sendable>(_ packet: any ByteSource, _ body: @Sendable () async throws -> T) async throws -> T {
    packet.isSmall ? try await body() : try await withTaskExecutorPreference(threads) { try await body() }
  }

  /// Runs work on so many bytes here when they are many, else where the caller is.
  package static func with<T: Sendable>(_ bytes: Int, _ body: @Sendable () async throws -> T) async throws -> T {
    bytes < manyBytes ? try await body() : try await withTaskExecutorPreference(threads) { try await body() }
  }
}
