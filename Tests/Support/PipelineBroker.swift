import Kafka

/// The broker of an engine under test: the outside one where there is one, with transactions, in groups and with nothing of earlier tests
/// on it; else an embedded cluster.
public struct PipelineBroker: Sendable {
  /// How it is reached.
  public let settings: KafkaSettings
  private let embedded: EmbeddedCluster?

  /// Takes the outside broker and clears it, or starts an embedded one.
  /// - Parameter groups: of the stages under test.
  public init(groups: [String]) async throws {
    guard let address = OutsideBroker.address else {
      let cluster = try EmbeddedCluster()
      (embedded, settings) = (cluster, cluster.settings)
      return
    }
    try await OutsideBroker.clear(address, groups: groups)
    (embedded, settings) = (nil, OutsideBroker.settings(address))
  }

  /// Whether messages and offsets are committed together there, and whether others may read the same topics.
  public var isOutside: Bool { embedded == nil }

  /// How an engine makes its topics; nil for the admin API.
  public var makeTopics: (@Sendable (_ names: [String], _ partitions: Int, _ replication: Int) throws -> Void)? {
    guard let embedded else { return nil }
    return { names, partitions, _ in
      for name in names { try embedded.createTopic(name, partitions: partitions) }
    }
  }
}
