import Glibc
import Kafka

/// A broker of our own (noida-db) on a free port with an empty folder; gone afterwards. The program must be the broker itself and not
/// the Python script of that name, which would die alone.
final class Broker {
  let settings: KafkaSettings
  private let process: pid_t
  private let folder: String

  init(_ program: String, producer: [String: String] = [:]) throws {
    folder = try Machine.makeFolder()
    let port = try Machine.freePort()
    process = try Machine.spawn(
      [try Machine.whole(program), "start", "--only", "kafka", "--kafka-port", String(port), "--data-dir", folder + "/data"])
    // This broker answers a fetch with all it has, whatever the client's limits are.
    settings = KafkaSettings(
      bootstrapServers: "127.0.0.1:\(port)", properties: ["receive.message.max.bytes": "2000000000", "log_level": "0"],
      producerProperties: producer, logsWarnings: false)
    for _ in 0..<100 {
      Machine.sleep(milliseconds: 100)
      guard let admin = try? KafkaAdmin(settings: settings), (try? admin.listTopics()) != nil else { continue }
      return
    }
    throw BenchError("the broker does not answer")
  }

  func makeTopic(_ name: String, partitions: Int) throws {
    let topic = KafkaAdmin.NewTopic(name, partitions: partitions, configuration: ["retention.ms": "-1"])
    _ = try KafkaAdmin(settings: settings).createTopics([topic])
  }

  /// Its end is a kill: it would write all it has to disk otherwise. It leads a session of its own, so nothing that it started stays.
  func end() {
    kill(-process, SIGKILL)
    Machine.wait(process)
    Machine.remove(folder)
  }
}
