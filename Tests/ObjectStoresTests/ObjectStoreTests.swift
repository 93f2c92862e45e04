import ObjectStores
import HTTP
import StageKit
import Synchronization
import System
import TestSupport
import Testing

/// Both object stores: the folder, and S3 where a server for it is installed.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case folder
  case accountBuckets = "S3, accounts as buckets"
  case containerBuckets = "S3, containers as buckets"
  var testDescription: String { rawValue }

  static let there: [StoreKind] = S3Server.isThere ? allCases : [.folder]

  func with(_ body: (any ObjectStore) async throws -> Void) async throws {
    guard self != .folder else {
      let folder = TemporaryFolder.make()
      let blocking = BlockingPool(name: "objects-test", threads: 8)
      defer {
        blocking.close()
        TemporaryFolder.remove(folder)
      }
      return try await body(FileObjectStore(folder: folder + "/objects", blocking: blocking))
    }
    try await body(try await S3Server.store(accountIsBucket: self == .accountBuckets))
  }
}

@Suite(.serialized, .timeLimit(.minutes(30))) struct ObjectStoreTests {
  /// A name of a container that nothing has used: a bucket in one of the two mappings.
  private func rid() -> String { "rid-" + Encoding.hex(SecureRandom.bytes(8)) }

  @Test(arguments: StoreKind.there) func `a put is read back, written over, found and removed`(_ kind: StoreKind) async throws {
    try await kind.with { store in
      let rid = rid()
      #expect(try await store.get(account: "landing-zone", container: rid, key: "a/b") == nil)
      #expect(try await store.exists(account: "landing-zone", container: rid, key: "a/b") == false)
      for bytes in [[], Array("x".utf8), SecureRandom.bytes(300_000)] {
        try await store.put(bytes, account: "landing-zone", container: rid, key: "a/b")
        #expect(try await store.get(account: "landing-zone", container: rid, key: "a/b") == bytes)
      }
      #expect(try await store.exists(account: "landing-zone", container: rid, key: "a/b"))
      #expect(try await store.exists(account: "landing-zone", container: rid, key: "a/c") == false)
      for _ in 1...2 { try await store.delete(account: "landing-zone", container: rid, key: "a/b") }
      #expect(try await store.get(account: "landing-zone", container: rid, key: "a/b") == nil)
      try await store.delete(account: "landing-zone", container: self.rid(), key: "a")
    }
  }

  @Test(arguments: StoreKind.there) func `names of any script are kept apart, and a prefix selects among them`(_ kind: StoreKind)
    async throws
  {
    try await kind.with { store in
      let rid = rid()
      let names = [
        "OPENCRVS/NEW/\(rid)_id", "OPENCRVS/NEW/\(rid)_evidence", "OPENCRVS/NEW-2/\(rid)_id", "Tags/AGE_GROUP", "a b+c%2Fd", "ä ö",
        "ਔਰਤ", "x&y<z>\"'", ".hidden", "p=1;q",
      ]
      for (place, name) in names.enumerated() {
        try await store.put([UInt8(place)], account: "packet-manager", container: rid, key: name)
      }
      for (place, name) in names.enumerated() {
        #expect(try await store.get(account: "packet-manager", container: rid, key: name) == [UInt8(place)], "\(name)")
      }
      #expect(try await store.keys(account: "packet-manager", container: rid, prefix: "") == names.sorted())
      #expect(
        try await store.keys(account: "packet-manager", container: rid, prefix: "OPENCRVS/NEW/")
          == ["OPENCRVS/NEW/\(rid)_evidence", "OPENCRVS/NEW/\(rid)_id"])
      #expect(try await store.keys(account: "packet-manager", container: self.rid(), prefix: "") == [])
      // The folder of another RID whose name begins alike is another one.
      try await store.put([9], account: "packet-manager", container: rid + "0", key: "k")
      #expect(try await store.keys(account: "packet-manager", container: rid, prefix: "k") == [])
    }
  }

  @Test(arguments: StoreKind.there) func `an object comes with its metadata, which can be set again`(_ kind: StoreKind) async throws
  {
    try await kind.with { store in
      let rid = rid()
      let metadata = [
        "id": rid, "packetname": "\(rid)_id", "source": "OPENCRVS", "process": "OPENCRVS_NEW", "refid": "45451_45452",
        "schemaversion": "0.1", "signature": String(repeating: "A-_", count: 114), "encryptedhash": "x=y",
        "providername": "PacketWriterImpl",
        "providerversion": "v1.0", "creationdate": "2024-02-29T23:59:59.123456Z",
      ]
      try await store.put(
        [StoredObject(key: "a", bytes: [1], metadata: metadata), StoredObject(key: "b", bytes: [2], metadata: ["id": "1"])],
        account: "packet-manager", container: rid)
      #expect(try await store.metadata(account: "packet-manager", container: rid, key: "a") == metadata)
      #expect(try await store.metadata(account: "packet-manager", container: rid, key: "b") == ["id": "1"])
      try await store.setMetadata(["id": "2", "x": "y z"], account: "packet-manager", container: rid, key: "b")
      #expect(try await store.metadata(account: "packet-manager", container: rid, key: "b") == ["id": "2", "x": "y z"])
      #expect(try await store.get(account: "packet-manager", container: rid, key: "b") == [2])
      try await store.put([3], account: "packet-manager", container: rid, key: "c")
      #expect(try await store.metadata(account: "packet-manager", container: rid, key: "c") == nil)
      #expect(try await store.metadata(account: "packet-manager", container: rid, key: "none") == nil)
    }
  }

  @Test(arguments: StoreKind.there) func `a large object is stored and read piece by piece`(_ kind: StoreKind) async throws {
    let large = rid()
    try await kind.with { store in
      let bytes = SecureRandom.bytes((12 << 20) + 5)
      try await store.put(MemorySource(bytes), metadata: ["id": "1"], account: "acc", container: large, key: "a/b")
      let source = try #require(try await store.source(account: "acc", container: large, key: "a/b"))
      // The source keeps what the object was.
      try await store.put([1], account: "acc", container: large, key: "a/b")
      #expect(source.count == bytes.count && !(source is MemorySource))
      #expect(try source.bytes() == bytes)
      #expect(try await store.source(account: "acc", container: large, key: "a/b")?.bytes() == [1])
      #expect(try await store.source(account: "acc", container: large, key: "none") == nil)
      #expect(try await store.source(account: "acc", container: rid(), key: "none") == nil)
      try await store.put(MemorySource(bytes), metadata: ["id": "2"], account: "acc", container: large, key: "a/b")
      #expect(try await store.metadata(account: "acc", container: large, key: "a/b") == ["id": "2"])
    }
  }

  @Test(arguments: StoreKind.there) func `a container with more objects than a page is listed whole`(_ kind: StoreKind) async throws
  {
    try await kind.with { store in
      let rid = rid()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for part in 0..<8 {
          group.addTask {
            for n in stride(from: part, to: 1030, by: 8) {
              try await store.put([], account: "packet-manager", container: rid, key: "S/P/\(n)")
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(
        try await store.keys(account: "packet-manager", container: rid, prefix: "S/") == (0..<1030).map { "S/P/\($0)" }.sorted())
    }
  }

  @Test(arguments: StoreKind.there) func `of puts at once one is there in full`(_ kind: StoreKind) async throws {
    try await kind.with { store in
      let rid = rid()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 1...6 {
          group.addTask {
            try await store.put(
              [UInt8](repeating: UInt8(writer), count: 100_000 + writer), account: "new-account", container: rid, key: "k")
          }
        }
        try await group.waitForAll()
      }
      let bytes = try #require(try await store.get(account: "new-account", container: rid, key: "k"))
      let first = try #require(bytes.first)
      #expect(bytes.count == 100_000 + Int(first) && bytes.allSatisfy { $0 == first })
    }
  }
}

@Suite(.timeLimit(.minutes(30))) struct S3Tests {
  private static let settings = S3Settings(url: "http://s3.invalid", accessKey: "AK", secretKey: "secret-key")

  private func store(_ answer: @escaping @Sendable (ClientRequest) async throws -> ClientResponse, waits: Waits = Waits())
    -> S3ObjectStore
  {
    S3ObjectStore(Self.settings, http: Answering(answer: answer), timing: waits.timing)
  }

  private static func error(_ code: String, _ status: Int) -> ClientResponse {
    ClientResponse(
      status: status, body: Array("<?xml version=\"1.0\"?><Error><Code>\(code)</Code><Message>m</Message></Error>".utf8))
  }

  @Test(.enabled(if: S3Server.isThere)) func `a wrong key is refused by name, and shows no key`() async throws {
    let right = try await S3Server.settings()
    var wrong = right
    wrong.secretKey = "wrong-secret"
    let store = S3ObjectStore(wrong, http: CurlExchange())
    let fault = await fault { try await store.put([1], account: "landing-zone", container: "r", key: "k") }
    #expect(fault?.code == "RPR-OBJ-005" && fault?.isRetriable == false)
    #expect(fault?.description.contains("SignatureDoesNotMatch") == true && fault?.description.contains("wrong-secret") == false)
    #expect("\(wrong)".contains("wrong-secret") == false)
    #expect(await store.reachability().isGood == false)
    #expect(await S3ObjectStore(right, http: CurlExchange()).reachability().isGood)
  }

  @Test func `trouble is tried again, and ends in a retriable error`() async throws {
    let count = Atomic<Int>(0)
    let waits = Waits()
    let flaky = store(
      { _ in
        count.add(1, ordering: .relaxed).newValue < 3 ? Self.error("SlowDown", 503) : ClientResponse(status: 200, body: [7])
      }, waits: waits)
    #expect(try await flaky.get(account: "acc", container: "r", key: "k") == [7])
    #expect(waits.all.count == 2)
    let down = store { _ in Self.error("InternalError", 500) }
    let fault = await fault { try await down.put([1], account: "acc", container: "r", key: "k") }
    #expect(fault?.code == "RPR-OBJ-001" && fault?.isRetriable == true)
  }

  @Test func `accounts and containers are buckets and keys as upstream names them`() async throws {
    let asked = Mutex<[String]>([])
    let answer: @Sendable (ClientRequest) async throws -> ClientResponse = { request in
      asked.withLock { $0.append("\(request.method) \(request.url)") }
      return ClientResponse(status: 200)
    }
    try await store(answer).put([1], account: "PACKET_MANAGER_ACCOUNT", container: "100", key: "OPENCRVS/NEW/100_id")
    var settings = Self.settings
    settings.accountIsBucket = false
    settings.bucketPrefix = "Dev-"
    try await S3ObjectStore(settings, http: Answering(answer: answer), timing: Waits().timing).put(
      [1], account: "packet-manager", container: "100", key: "OPENCRVS/NEW/100_id")
    #expect(
      asked.withLock { $0 } == [
        "PUT http://s3.invalid/packet-manager-account/100/OPENCRVS/NEW/100_id", "PUT http://s3.invalid/dev-100/OPENCRVS/NEW/100_id",
      ])
  }

  @Test(arguments: ["", "a//b", "..", "a/../b", ".", "/a", "a/", "a\u{0}b"]) func `a name that stores take differently is refused`(
    _ key: String
  )
    async throws
  {
    let store = store { _ in ClientResponse(status: 200) }
    #expect(await fault { try await store.put([1], account: "acc", container: "r", key: key) }?.code == "RPR-OBJ-002")
    #expect(await fault { try await store.get(account: "acc", container: "r", key: key) }?.code == "RPR-OBJ-002")
  }

  @Test(arguments: [
    ["id": "ä"], ["id": "a\r\nx: y"], ["Id": "a"], ["": "a"], ["id": " a"], ["id": "1", "id2": "2"],
    ["id": String(repeating: "x", count: 3000)],
  ])
  func `metadata that no header field can carry are refused and nothing is sent`(_ metadata: [String: String]) async throws {
    struct Sent: Error {}
    let store = store { _ in throw Sent() }
    let objects = [StoredObject(key: "k", bytes: [1], metadata: metadata)]
    #expect(await fault { try await store.put(objects, account: "acc", container: "r") }?.code == "RPR-OBJ-004")
  }

  @Test(arguments: [
    "", "<html/>", "<ListBucketResult></ListBucketResult>", "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents><Contents><Key>b",
    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents><Contents><Key>b</Key></ListBucketResult>",
    "<!DOCTYPE l><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
  ])
  func `a list that is none is a named error, not an empty store`(_ body: String) async throws {
    let store = store { _ in ClientResponse(status: 200, body: Array(body.utf8)) }
    #expect(await fault { try await store.keys(account: "acc", container: "r", prefix: "") }?.isRetriable == true)
  }

  @Test func `a list that never ends is a named error`() async throws {
    let page =
      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
    let store = store { _ in ClientResponse(status: 200, body: Array(page.utf8)) }
    #expect(await fault { try await store.keys(account: "acc", container: "r", prefix: "") }?.code == "RPR-SVC-006")
  }

  @Test func `a list that is not UTF-8 is a named error, not a list of other names`() async throws {
    let head = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>"
    let body = Array(head.utf8) + [0xFF] + Array("</Key></Contents></ListBucketResult>".utf8)
    let store = store { _ in ClientResponse(status: 200, body: body) }
    #expect(await fault { try await store.keys(account: "acc", container: "r", prefix: "") }?.code == "RPR-SVC-006")
  }

  @Test(arguments: ["InternalError", "", "no code"])
  func `a copy that begins well and ends in an error is an error`(_ code: String) async throws {
    let store = store { _ in Self.error(code, 200) }
    #expect(await fault { try await store.setMetadata(["id": "1"], account: "acc", container: "r", key: "k") }?.isRetriable == true)
  }
}
