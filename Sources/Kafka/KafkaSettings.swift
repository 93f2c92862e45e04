import CRdKafka
import Glibc
import System

/// How the brokers are reached. Every property of librdkafka may be given, TLS and SASL among them; its description shows none of them.
public struct KafkaSettings: Sendable, CustomStringConvertible {
  /// `host:port` of one or more brokers, separated by commas.
  public var bootstrapServers: String
  /// The client's name in the broker's logs.
  public var clientId: String
  /// Further librdkafka properties for all clients, e.g. `security.protocol`.
  public var properties: [String: String]

  /// Settings for a cluster.
  public init(bootstrapServers: String, clientId: String = "regproc", properties: [String: String] = [:]) {
    self.bootstrapServers = bootstrapServers
    self.clientId = clientId
    self.properties = properties
  }

  public var description: String { "Kafka at \(bootstrapServers)" }

  /// A configuration object for a client: `defaults` under what the user gave.
  func configuration(_ defaults: KeyValuePairs<String, String>, _ forced: KeyValuePairs<String, String> = [:]) throws -> OpaquePointer {
    let configuration = rd_kafka_conf_new()!
    rd_kafka_conf_set_log_cb(configuration, logLine)
    func set(_ name: String, _ value: String) throws {
      var reason = [CChar](repeating: 0, count: 256)
      guard rd_kafka_conf_set(configuration, name, value, &reason, reason.count) == RD_KAFKA_CONF_OK else {
        rd_kafka_conf_destroy(configuration)
        // librdkafka's own words may quote the value, which may be a secret.
        throw KafkaError(
          .configuration, name: "_INVALID_ARG", operation: "configure",
          reason: "property \(name) is not known to librdkafka or its value is not allowed")
      }
    }
    try set("bootstrap.servers", bootstrapServers)
    try set("client.id", clientId)
    try set("log_level", "4")
    for (name, value) in defaults { try set(name, value) }
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) { try set(name, value) }
    for (name, value) in forced { try set(name, value) }
    return configuration
  }
}

private let log = Log("kafka")

private func logLine(
  _ client: OpaquePointer?, _ level: Int32, _ facility: UnsafePointer<CChar>?, _ text: UnsafePointer<CChar>?
) {
  guard let text, let facility else { return }
  log.write(level <= 3 ? .warning : .debug, String(cString: text), ["facility": String(cString: facility)])
}

/// Creates a client from a configuration, which it takes over.
func makeClient(_ kind: rd_kafka_type_t, _ configuration: OpaquePointer) throws -> OpaquePointer {
  var reason = [CChar](repeating: 0, count: 512)
  guard let client = rd_kafka_new(kind, configuration, &reason, reason.count) else {
    rd_kafka_conf_destroy(configuration)
    throw KafkaError(
      .configuration, name: "_INVALID_ARG", operation: "open client",
      reason: String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }
  return client
}
