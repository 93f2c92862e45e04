import Postgres
import Kafka
import System
import Testing

@testable import StageRuntime

@Suite(.timeLimit(.minutes(30))) struct StandstillTests {
  @Test func `a call that does not come back is said once after fifteen seconds and once when it is over`() {
    var standstill = Standstill()
    standstill.begins("settle", at: 1000)
    #expect(standstill.standing(at: 15_999) == nil && standstill.line(at: 15_999) == nil)
    #expect(standstill.line(at: 16_000) == .stands(reason: "no answer: settle", milliseconds: 15_000))
    #expect(standstill.line(at: 20_000) == nil)
    #expect(standstill.standing(at: 31_000)?.milliseconds == 30_000)
    standstill.ends()
    #expect(standstill.line(at: 31_001) == .over(milliseconds: 30_001))
    #expect(standstill.line(at: 40_000) == nil)
  }

  @Test func `what fails again and again stands since its first failure until a batch passes`() {
    var standstill = Standstill()
    for second in 0..<20 {
      standstill.begins("send", at: second * 1000)
      standstill.ends()
      standstill.fails("no topic", at: second * 1000 + 10)
      // The poll that reads the batch again brings it at once, so nothing is idle.
    }
    #expect(standstill.standing(at: 20_000)?.reason == "no topic")
    #expect(standstill.standing(at: 20_000)?.milliseconds == 19_990)
    standstill.passes()
    #expect(standstill.standing(at: 60_000) == nil)
  }

  @Test func `a failure is over when there is nothing to do for some seconds`() {
    var standstill = Standstill()
    standstill.fails("lost", at: 0)
    standstill.idles(at: 1000)
    standstill.idles(at: 5000)
    #expect(standstill.cause != nil, "a poll may bring nothing for a moment")
    standstill.idles(at: 6000)
    #expect(standstill.cause == nil)
  }

  @Test func `a group that gives no partitions stands`() {
    var standstill = Standstill()
    standstill.joins(at: 0)
    standstill.joins(at: 9000)
    #expect(standstill.standing(at: 15_000)?.reason == "the group gives no partitions")
    standstill.hasJoined()
    #expect(standstill.standing(at: 15_000) == nil)
  }

  @Test func `a reader whose broker is away stands since it was last seen well`() {
    var standstill = Standstill()
    standstill.reads(fault: nil, at: 3000)
    standstill.reads(fault: "b:1 is DOWN", at: 6000)
    standstill.reads(fault: "b:1 is CONNECT", at: 9000)
    #expect(standstill.standing(at: 18_000)?.reason == "b:1 is CONNECT")
    standstill.reads(fault: nil, at: 19_000)
    #expect(standstill.standing(at: 60_000) == nil)
  }

  @Test func `a broker that does not answer stands since its last answer also when the membership is lost meanwhile`() {
    var standstill = Standstill()
    standstill.reads(fault: nil, at: 10_000)
    standstill.reads(fault: "b:1 does not answer", lasting: 3500, at: 13_000)
    #expect(standstill.cause?.since == 9500)
    standstill.reads(fault: "b:1 does not answer", lasting: 6500, at: 16_000)
    standstill.joins(at: 19_500)
    #expect(standstill.standing(at: 24_499) == nil)
    #expect(standstill.standing(at: 24_500)?.reason == "the group gives no partitions")
  }

  @Test func `the work of a stage is no standstill however long it takes`() {
    var standstill = Standstill()
    standstill.begins("claim", at: 0)
    standstill.ends()
    #expect(standstill.standing(at: 600_000) == nil)
  }

  @Test func `a member that reads other topics is another member`() {
    func member(_ stage: String, _ instance: String, _ reader: StaticMember.Reader = .messages) -> StaticMember {
      StaticMember(stage: stage, instance: instance, reader: reader)
    }
    let id = member("packet-validator", "pod-1").id(topics: ["a", "b"])
    #expect(id == member("packet-validator", "pod-1").id(topics: ["b", "a", "a"]))
    #expect(id != member("packet-validator", "pod-1").id(topics: ["a"]))
    #expect(id != member("packet-validator", "pod-1").id(topics: ["ab"]))
    #expect(id != member("packet-validator", "pod-2").id(topics: ["a", "b"]))
    #expect(id != member("packet", "validator-pod-1").id(topics: ["a", "b"]))
    #expect(id.hasPrefix("packet-validator-pod-1-"))
    let long = String(repeating: "ä /", count: 200)
    let odd = member(long, "1").id(topics: ["a"])
    #expect(odd.utf8.count <= 249)
    #expect(odd.utf8.allSatisfy { $0 < 128 && $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "/") })
    #expect(odd != member(long, "2").id(topics: ["a"]), "what is cut off still counts")
    #expect(member("print", "ä").id(topics: ["a"]) != member("print", "ö").id(topics: ["a"]))
  }

  @Test func `no two consumers of a stage are one member whatever they read`() throws {
    let settings = EngineSettings(
      kafka: KafkaSettings(bootstrapServers: "k:9092"), database: try PostgresSettings(""), instance: "pod-1")
    let ids = StaticMember.Reader.allCases.compactMap { settings.member("print", $0)?.id(topics: ["print-bus-in"]) }
    #expect(ids.count == StaticMember.Reader.allCases.count && Set(ids).count == ids.count)
  }

  private func error(_ code: KafkaError.Code, _ name: String) -> KafkaError {
    KafkaError(code: code, name: name, operation: "poll", detail: "planned")
  }

  @Test func `a right that is missing puts the worker out of order until it is given partitions or records`() {
    let watch = BusWatch("a", group: "g", log: Log("test"))
    watch.joins()
    #expect(!watch.hasJoined)
    watch.problem(error(.notAllowed, "GROUP_AUTHORIZATION_FAILED"), topic: nil)
    watch.problem(error(.notAllowed, "TOPIC_AUTHORIZATION_FAILED"), topic: "t")
    watch.problem(error(.retriable, "_TRANSPORT"), topic: nil)
    #expect(watch.faults.count == 2)
    watch.assigned(["u"], partitions: 1)
    #expect(watch.hasJoined && watch.faults.count == 1, "another topic's partitions say nothing of this one")
    watch.received(["t"])
    #expect(watch.faults.isEmpty)
  }
}
