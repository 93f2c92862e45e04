import Glibc
import System
import Testing

@testable import Kafka

@Suite(.timeLimit(.minutes(30))) struct AdminTests {
  private static let password = "pa55-of-a-test"
  private static let refusal =
    "Authentication failed during authentication due to invalid credentials with SASL mechanism PLAIN"

  @Test func `a wrong password is told in the brokers words and not waited out`() async throws {
    try await onOwnThread {
      let listener = try SecureListener(refusal: Self.refusal)
      defer { listener.close() }
      let admin = try KafkaAdmin(
        settings: KafkaSettings(
          bootstrapServers: listener.address,
          properties: [
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "PLAIN", "sasl.username": "regproc",
            "sasl.password": Self.password,
          ], logsWarnings: false), requestMilliseconds: 120_000, totalMilliseconds: 600_000)
      let began = monotonicMilliseconds()
      for ask in [{ _ = try admin.metadata() }, { _ = try admin.requestTopics([NewTopic("t")]) }] {
        let error = #expect(throws: KafkaError.self) { try ask() }
        #expect(error?.name == "_AUTHENTICATION")
        #expect(error?.description.contains(Self.refusal) == true, "\(String(describing: error))")
        #expect(error?.description.contains(Self.password) == false)
      }
      // Far below the limit of one request, however busy the machine is.
      #expect(monotonicMilliseconds() - began < 20_000)
    }
  }

  @Test func `a plain client of a secure listener is told which setting is wrong`() async throws {
    try await onOwnThread {
      let listener = try SecureListener(refusal: Self.refusal)
      defer { listener.close() }
      let admin = try KafkaAdmin(
        settings: KafkaSettings(bootstrapServers: listener.address, logsWarnings: false), requestMilliseconds: 3000,
        totalMilliseconds: 600_000)
      let error = #expect(throws: KafkaError.self) { try admin.metadata() }
      #expect(error?.description.contains("security.protocol") == true, "\(String(describing: error))")
    }
  }

  @Test func `a request that gets no answer is asked again by a new client`() async throws {
    try await onOwnThread {
      let cluster = try EmbeddedCluster()
      try cluster.createTopic("t", partitions: 3)
      cluster.setDown()
      let admin = try KafkaAdmin(settings: cluster.settings, requestMilliseconds: 400, totalMilliseconds: 120_000)
      let first = ObjectIdentifier(admin.client.withLock { $0 })
      OwnedThread.start("up") {
        let end = monotonicMilliseconds() + 60_000
        while ObjectIdentifier(admin.client.withLock { $0 }) == first, monotonicMilliseconds() < end { usleep(5000) }
        cluster.setUp()
      }
      #expect(try admin.listTopics()["t"] == 3)
      #expect(ObjectIdentifier(admin.client.withLock { $0 }) != first)
      // And given up in the end: the embedded cluster answers no such request.
      let short = try KafkaAdmin(settings: cluster.settings, requestMilliseconds: 200, totalMilliseconds: 1000)
      let error = #expect(throws: KafkaError.self) { try short.createTopics([NewTopic("u")]) }
      #expect(error?.code == .timedOut)
    }
  }

  @Test func `the versions of the library that fail are named`() {
    let scram = ["sasl.mechanisms": "SCRAM-SHA-512"]
    func problems(_ number: Int, _ properties: [String: String] = [:]) -> [Bool] {
      LibraryVersion(number: number).problems(with: properties).map(\.isFault)
    }
    #expect(problems(0x0200_02ff).isEmpty)
    #expect(problems(0x0200_02ff, ["sasl.mechanism": "PLAIN"]).isEmpty)
    #expect(problems(0x0200_02ff, scram) == [true])
    #expect(problems(0x0206_00ff, ["sasl.mechanism": "scram-sha-256"]) == [true])
    #expect(problems(0x0206_01ff, scram).isEmpty)
    #expect(problems(0x0208_00ff, scram).isEmpty)
    #expect(problems(0x0209_00ff).isEmpty)
    #expect(problems(0x020a_00ff) == [false])
    #expect(problems(0x0210_00ff, scram) == [false])
    #expect(LibraryVersion(number: 0x0206_01ff).description == "2.6.1")
    #expect(LibraryVersion.loaded.number > 0x0200_0000)
  }
}
