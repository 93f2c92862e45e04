import Kafka
import Registration
import System

/// How long one record is on its way when nothing else is: put on a topic, until a reader that waits has it.
struct LatencyBench {
  private let broker: String
  private let messages: Int

  init(_ options: Options) throws {
    broker = try Machine.whole(try options.text("broker"))
    messages = try options.number("messages", 300)
  }

  func run() throws {
    let embedded = try EmbeddedCluster()
    try embedded.createTopic("latency", partitions: 4)
    try measure("embedded broker", embedded.settings)
    let broker = try Broker(broker)
    defer { broker.end() }
    try broker.makeTopic("latency", partitions: 4)
    try measure("broker over TCP", broker.settings)
  }

  private func measure(_ name: String, _ settings: KafkaSettings) throws {
    let consumer = try KafkaConsumer(settings: settings, group: "latency", topics: ["latency"], assignment: .all)
    let producer = try KafkaProducer(settings: settings)
    defer { try? consumer.close() }
    var milliseconds: [Double] = []
    for number in 0..<messages {
      let began = Machine.wall
      try producer.produce(topic: "latency", key: Array(String(number).utf8), value: [1], headers: [])
      if let failed = producer.flush().first { throw failed.error }
      let deadline = began + 30
      var seen = 0
      while seen == 0 {
        guard Machine.wall < deadline else { throw BenchError("a record does not arrive") }
        seen = try consumer.poll(max: 200, timeoutMilliseconds: 1000).records.count
      }
      // The first ones carry the costs of the start.
      if number >= 20 { milliseconds.append((Machine.wall - began) * 1000) }
      Machine.sleep(milliseconds: 3)
    }
    let sorted = milliseconds.sorted()
    say(
      "one record, \(name): acknowledged and read after \(fixed(median(sorted), 1)) ms (median), "
        + "\(fixed(sorted[sorted.count * 99 / 100], 1)) ms (99 of 100)")
  }
}
