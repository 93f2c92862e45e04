import ObjectStores
import Glibc
import StageKit
import System
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(30))) struct FileObjectStoreTests {
  private func inStore(_ body: (FileObjectStore, String) async throws -> Void) async throws {
    let folder = TemporaryFolder.make()
    let blocking = BlockingPool(name: "objects-test", threads: 8)
    defer {
      blocking.close()
      TemporaryFolder.remove(folder)
    }
    try await body(FileObjectStore(folder: folder + "/objects", blocking: blocking), folder)
  }

  private static let names = [
    "a", "../b", "...", ".", "/etc/passwd", "q//b", "%2E", "x%meta", "x%tmp-1", "\u{0}", "ä ö", ".hidden",
    "OPENCRVS/NEW/1_id",
  ]

  @Test func `every name is kept apart and inside the folder`() async throws {
    try await inStore { store, folder async throws in
      for (i, name) in Self.names.enumerated() {
        try await store.put([UInt8(i)], account: "acc", container: "rid", key: name)
      }
      for (i, name) in Self.names.enumerated() {
        #expect(
          try await store.get(account: "acc", container: "rid", key: name) == [UInt8(i)], "\(name.debugDescription)")
      }
      #expect(try await store.keys(account: "acc", container: "rid", prefix: "") == Self.names.sorted())
      #expect(TemporaryFolder.names(in: folder) == ["objects"])
      #expect(TemporaryFolder.names(in: folder + "/objects") == ["acc"])
      for name in ["..", "a/../../x", ""] {
        try await store.put([7], account: name, container: name, key: "k")
        #expect(try await store.get(account: name, container: name, key: "k") == [7])
      }
      #expect(TemporaryFolder.names(in: folder) == ["objects"])
    }
  }

  @Test(arguments: [0, 1, 5 << 20, 5 << 20 + 1]) func `a source goes in and comes out and keeps what it was`(_ size: Int)
    async throws
  {
    try await inStore { store, folder async throws in
      let bytes = SecureRandom.bytes(size)
      try await store.put(MemorySource(bytes), metadata: ["refid": "x"], account: "a", container: "c", key: "k")
      #expect(try await store.metadata(account: "a", container: "c", key: "k") == ["refid": "x"])
      #expect(try await store.get(account: "a", container: "c", key: "k") == bytes)
      let source = try #require(try await store.source(account: "a", container: "c", key: "k"))
      try await store.put([9], account: "a", container: "c", key: "k")
      try await store.delete(account: "a", container: "c", key: "k")
      #expect(try source.bytes() == bytes)
      #expect(try await store.source(account: "a", container: "c", key: "k") == nil)
      #expect(try await store.keys(account: "a", container: "c", prefix: "") == [])
    }
  }

  @Test func `a source that fails in the midst leaves no object`() async throws {
    final class Failing: ByteSource {
      let count = 1 << 20
      func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        if offset > 300_000 { throw ByteSourceError("gone") }
        buffer.initializeMemory(as: UInt8.self, repeating: 1)
      }
    }
    try await inStore { store, folder async throws in
      try await store.put([1], account: "a", container: "c", key: "old")
      for key in ["old", "new"] {
        await #expect(throws: ServiceError.self) {
          try await store.put(Failing(), metadata: [:], account: "a", container: "c", key: key)
        }
      }
      #expect(try await store.get(account: "a", container: "c", key: "old") == [1])
      #expect(try await store.keys(account: "a", container: "c", prefix: "") == ["old"])
    }
  }

  @Test func `a put writes over and a delete takes object and metadata`() async throws {
    try await inStore { store, _ async throws in
      try await store.put([1], account: "a", container: "c", key: "k")
      try await store.put([2, 3], account: "a", container: "c", key: "k")
      try await store.setMetadata(["signature": "x\"y\n", "refid": ""], account: "a", container: "c", key: "k")
      #expect(try await store.get(account: "a", container: "c", key: "k") == [2, 3])
      #expect(try await store.metadata(account: "a", container: "c", key: "k") == ["signature": "x\"y\n", "refid": ""])
      #expect(try await store.keys(account: "a", container: "c", prefix: "") == ["k"])
      try await store.delete(account: "a", container: "c", key: "k")
      try await store.delete(account: "a", container: "c", key: "k")
      #expect(try await store.get(account: "a", container: "c", key: "k") == nil)
      #expect(try await store.metadata(account: "a", container: "c", key: "k") == nil)
      #expect(try await store.exists(account: "a", container: "c", key: "k") == false)
    }
  }

  @Test func `a prefix selects keys and a folder is no object`() async throws {
    try await inStore { store, _ async throws in
      for key in ["S/P/1_id", "S/P/1_evidence", "S/P-2/1_id", "T/P/1_id"] {
        try await store.put([], account: "a", container: "c", key: key)
      }
      #expect(try await store.keys(account: "a", container: "c", prefix: "S/P/") == ["S/P/1_evidence", "S/P/1_id"])
      #expect(try await store.keys(account: "a", container: "none", prefix: "") == [])
      #expect(try await store.exists(account: "a", container: "c", key: "S/P") == false)
      #expect(try await store.get(account: "a", container: "c", key: "S/P") == nil)
      #expect(try await store.get(account: "a", container: "c", key: "S/P/1_id/x") == nil)
      #expect(try await store.get(account: "a", container: "c", key: "S/P/1_id") == [])
    }
  }

  @Test func `a name that the file system cannot bear is refused and not tried for ever`() async throws {
    try await inStore { store, _ async throws in
      let long = String(repeating: "x", count: 300)
      #expect(await fault { try await store.put([1], account: "a", container: "c", key: long) }?.code == "RPR-OBJ-002")
      try await store.put([1], account: "a", container: "c", key: "k")
      #expect(await fault { try await store.put([1], account: "a", container: "c", key: "k/below") }?.code == "RPR-OBJ-002")
      try await store.put([1], account: "a", container: "c", key: "d/below")
      #expect(await fault { try await store.put([1], account: "a", container: "c", key: "d") }?.code == "RPR-OBJ-002")
      #expect(try await store.keys(account: "a", container: "c", prefix: "") == ["d/below", "k"])
    }
  }

  @Test func `of puts at once one is there in full and readers see no mixture`() async throws {
    try await inStore { store, folder async throws in
      let size = 200_000
      try await store.put([UInt8](repeating: 0, count: size), account: "a", container: "c", key: "k")
      try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 1...6 {
          group.addTask {
            for _ in 0..<4 {
              try await store.put(
                [UInt8](repeating: UInt8(writer), count: size + writer), account: "a", container: "c", key: "k")
            }
          }
        }
        for _ in 0..<2 {
          group.addTask {
            for _ in 0..<40 {
              let bytes = try #require(try await store.get(account: "a", container: "c", key: "k"))
              let first = try #require(bytes.first)
              #expect(bytes.count == size + Int(first) && bytes.allSatisfy { $0 == first })
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(TemporaryFolder.names(in: folder + "/objects/a/c") == ["k"], "no temporary file stays")
    }
  }

  @Test func `what a killed writer left is no object`() async throws {
    try await inStore { store, folder async throws in
      try await store.put([1], account: "a", container: "c", key: "k")
      let rest = fopen(folder + "/objects/a/c/k2%tmp-0000", "w")
      fclose(rest)
      #expect(try await store.keys(account: "a", container: "c", prefix: "") == ["k"])
      #expect(try await store.get(account: "a", container: "c", key: "k2") == nil)
    }
  }

  @Test func `broken metadata is a named error`() async throws {
    try await inStore { store, folder async throws in
      try await store.put([1], account: "a", container: "c", key: "k")
      let file = fopen(folder + "/objects/a/c/k%meta", "w")
      fputs("{\"cut", file)
      fclose(file)
      #expect(await fault { try await store.metadata(account: "a", container: "c", key: "k") }?.code == "RPR-OBJ-003")
    }
  }

  @Test func `empty folders go when they are old and nothing else does`() async throws {
    try await inStore { store, folder async throws in
      try await store.put([1], account: "a", container: "full", key: "x/y")
      for container in ["one", "two"] {
        try await store.put([1], account: "a", container: container, key: "OPENCRVS/NEW/1_id")
        try await store.delete(account: "a", container: container, key: "OPENCRVS/NEW/1_id")
      }
      #expect(try await store.removeEmptyFolders(olderThan: 3600) == 0)
      #expect(TemporaryFolder.names(in: folder + "/objects/a").sorted() == ["full", "one", "two"])
      // A folder changes when one in it goes, so the outermost ones are of now.
      #expect(try await store.removeEmptyFolders(olderThan: -3600) == 6)
      #expect(TemporaryFolder.names(in: folder + "/objects/a") == ["full"])
      #expect(try await store.get(account: "a", container: "full", key: "x/y") == [1])
    }
  }

  @Test func `an object is written although its folder is removed again and again`() async throws {
    try await inStore { store, _ async throws in
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          while !Task.isCancelled { _ = try await store.removeEmptyFolders(olderThan: -3600) }
        }
        for lane in 0..<4 {
          group.addTask {
            for turn in 0..<50 {
              try await store.put([UInt8(turn)], account: "a", container: "\(lane)", key: "x/y")
              #expect(try await store.get(account: "a", container: "\(lane)", key: "x/y") == [UInt8(turn)])
              try await store.delete(account: "a", container: "\(lane)", key: "x/y")
            }
          }
        }
        for _ in 0..<4 { try await group.next() }
        group.cancelAll()
      }
    }
  }
}
