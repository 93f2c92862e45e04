import HTTP
import Kafka
import Postgres
import StageKit

/// How an engine is connected and how it works; one engine is one process.
public struct EngineSettings: Sendable {
  /// How the bus is reached.
  public var kafka: KafkaSettings
  /// The database with the journal.
  public var database: PostgresSettings
  /// The HTTP endpoints of the stages.
  public var http: ServerSettings
  /// Where operators are served: health, metrics, journeys; nil for nowhere.
  public var admin: ServerSettings?
  /// Who may call there.
  public var adminAccess = AdminAccess()
  /// Whether any port will do for operators when theirs is taken.
  public var adminMayMove = false
  /// This process's name in the journal and in transactional ids. Two processes must not share it.
  public var instance: String
  /// Produce and offsets in one Kafka transaction. Off for a broker without real transactions: at least once on the bus, and the journal still
  /// makes every side effect happen once.
  public var isTransactional: Bool
  /// Take all partitions without the group's protocol, and take over what an earlier process left: for a broker inside this process.
  public var isAloneOnTheBus: Bool
  /// Partitions of topics that are made.
  public var partitions: Int
  /// Replicas of topics that are made; -1 is the cluster's own number.
  public var replication: Int
  /// Seconds after which a message that nobody took is sent again.
  public var reconcileAfter: Double
  /// Whether this process carries and makes the topics alone that its stages read and write (`TopicRights`), for a user without other rights;
  /// else it carries whatever the journal has to be sent, and makes every topic that is missing.
  public var keepsToOwnTopics = false
  /// Bounds of replays that operators start here.
  public var replays = ReplayLimits()
  /// Where stages keep requests that they cannot take now; nil for nowhere.
  public var spool: SpoolSettings?
  /// Where keys, objects and what is spooled lie; health says whether it can be written. Nil when nothing does.
  public var dataFolder: String?
  /// The side that all stages of this process are on. On OpenCRVS' side there are no registrations, so none are settled there.
  public var side: Side = .mosip
  /// Database connections for durable work; the workers and the outbox relay have one each.
  public var connections: Int

  /// Settings with defaults for a small machine.
  public init(
    kafka: KafkaSettings, database: PostgresSettings, http: ServerSettings = ServerSettings(),
    admin: ServerSettings? = nil, instance: String,
    isTransactional: Bool = true, isAloneOnTheBus: Bool = false, partitions: Int = 4, replication: Int = -1,
    reconcileAfter: Double = 300, connections: Int = 8
  ) {
    self.kafka = kafka
    self.database = database
    self.http = http
    self.admin = admin
    self.instance = instance
    self.isTransactional = isTransactional
    self.isAloneOnTheBus = isAloneOnTheBus
    self.partitions = partitions
    self.replication = replication
    self.reconcileAfter = reconcileAfter
    self.connections = connections
  }
}

extension EngineSettings {
  /// By which a stage's producer of this process fences off its predecessor; nil without transactions.
  func transactionalId(_ stage: String) -> String? { isTransactional ? Self.transactionalIDPrefix(stage) + instance : nil }

  static func transactionalIDPrefix(_ stage: String) -> String { "regproc-\(stage)-" }

  /// By which one of its consumers takes its partitions up again after the process was killed; nil where there is no group.
  func member(_ stage: String, _ reader: StaticMember.Reader) -> StaticMember? {
    isAloneOnTheBus ? nil : StaticMember(stage: stage, instance: instance, reader: reader)
  }
}
