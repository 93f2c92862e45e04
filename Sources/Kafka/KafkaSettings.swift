/// How to reach a Kafka cluster, and whatever else librdkafka shall be told.
///
/// The names of properties are librdkafka's (TLS: `security.protocol`, `ssl.ca.location` ...; SASL: `sasl.mechanisms`,
/// `sasl.username` ...). Values are never printed: a description shows names only.
public struct KafkaSettings: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// `host:port`, several separated by commas.
  public var bootstrapServers: String
  /// The name that the broker's logs and quotas see.
  public var clientId: String
  /// Properties for consumers, producers and admin clients alike.
  public var properties: [String: String]
  /// Properties for consumers only; they win over `properties`.
  public var consumerProperties: [String: String]
  /// Properties for producers only; they win over `properties`.
  public var producerProperties: [String: String]
  /// Whether librdkafka's warnings and errors go to the log (one line a kind of message every ten seconds) or nowhere.
  public var logsWarnings: Bool

  /// Settings for a cluster.
  public init(
    bootstrapServers: String, clientId: String = "regproc", properties: [String: String] = [:],
    consumerProperties: [String: String] = [:], producerProperties: [String: String] = [:], logsWarnings: Bool = true
  ) {
    self.bootstrapServers = bootstrapServers
    self.clientId = clientId
    self.properties = properties
    self.consumerProperties = consumerProperties
    self.producerProperties = producerProperties
    self.logsWarnings = logsWarnings
  }

  /// Servers, client id and the names of the properties, without their values.
  public var description: String {
    let names = Set(properties.keys).union(consumerProperties.keys).union(producerProperties.keys).sorted()
    return "Kafka at \(bootstrapServers) as \(clientId), properties: \(names.joined(separator: ", "))"
  }
  /// As `description`: without values.
  public var debugDescription: String { description }
  /// Shows what `description` shows, so that `dump` gives no secret away.
  public var customMirror: Mirror { Mirror(self, children: ["settings": description]) }

  /// Checks the properties without connecting. Throws a `KafkaError` with code `configuration` that names the first bad one.
  public func check() throws(KafkaError) {
    _ = try Configuration(self, .consumer(group: "check", instance: nil))
    _ = try Configuration(self, .producer(transactionalId: nil))
    _ = try Configuration(self, .admin)
  }
}
