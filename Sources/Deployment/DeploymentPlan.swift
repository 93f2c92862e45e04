/// In which of the two clusters something runs.
public enum Side: String, Sendable, CaseIterable {
  case opencrvs, mosip
}

/// What a container may take, in Kubernetes' notation.
public struct Resources: Sendable, Equatable {
  public var requestedCPU: String
  public var requestedMemory: String
  /// Nil for no limit: a stage may then use what nobody else needs.
  public var mostCPU: String?
  public var mostMemory: String

  /// A process takes 31 MB at rest; the rest is for what it has in hand.
  public init(
    requestedCPU: String = "50m", requestedMemory: String = "64Mi", mostCPU: String? = nil, mostMemory: String = "512Mi"
  ) {
    self.requestedCPU = requestedCPU
    self.requestedMemory = requestedMemory
    self.mostCPU = mostCPU
    self.mostMemory = mostMemory
  }
}

/// What a deployment must know of a stage: of its `stage.yaml` and of its plugin.
public struct DeployedStage: Sendable {
  public var name: String
  public var plugin: String
  public var side: Side
  public var isBridge: Bool
  /// Its settings that are secret.
  public var secrets: [String]
  /// Its settings that are texts.
  public var texts: [String]
  public var resources: Resources

  public init(
    name: String, plugin: String, side: Side, isBridge: Bool = false, secrets: [String] = [],
    texts: [String] = [], resources: Resources = Resources()
  ) {
    self.name = name
    self.plugin = plugin
    self.side = side
    self.isBridge = isBridge
    self.secrets = secrets
    self.texts = texts
    self.resources = resources
  }
}

/// A secret that a service finds in a file.
public struct SecretFile: Sendable, Equatable, Hashable {
  /// Its name, also the file's.
  public var name: String
  /// The variable that names the file.
  public var variable: String
}

/// A call from one service to another, by a setting of the caller.
public struct ServiceLink: Sendable, Equatable {
  /// The environment variable of the caller's setting.
  public var variable: String
  /// The service that is called; nil for one outside this deployment.
  public var service: String?
  /// What is outside, as the site's variable calls it.
  public var outside: OutsideURL?
}

/// An address that only the site knows.
public enum OutsideURL: String, Sendable, CaseIterable {
  case opencrvs, opencrvsMediator, mosipMediator

  /// The site's variable.
  public var variable: String {
    switch self {
    case .opencrvs: "OPENCRVS_URL"
    case .opencrvsMediator: "OPENCRVS_MEDIATOR_URL"
    case .mosipMediator: "MOSIP_MEDIATOR_URL"
    }
  }
  /// A value to begin with.
  public var example: String {
    switch self {
    case .opencrvs: "http://opencrvs.example:5050/mosip-openhim-mediator"
    case .opencrvsMediator: "https://opencrvs-mediator.example"
    case .mosipMediator: "https://mosip-mediator.example"
    }
  }
}

/// One service: the processes of one stage.
public struct Service: Sendable {
  public var name: String
  public var stage: DeployedStage
  public var command: [String]
  public var links: [ServiceLink]
  public var secrets: [SecretFile]
  /// The database's user; nil for the one of the connection.
  public var databaseUser: String?
  /// The services it may call over HTTP.
  public var calls: [String]
  /// Whether something outside the deployment calls it.
  public var isCalledFromOutside: Bool
  /// Where it listens when it shares the host with the others; in a container of its own it has 8080 and 8081.
  public var hostPort: Int
}

/// What runs once and must have ended well before the services begin.
public struct Job: Sendable {
  public var name: String
  public var command: [String]
  public var needsKafka: Bool
  public var needsDatabase: Bool
  public var secrets: [SecretFile] = []
  /// The database's user; nil for the one of the connection.
  public var databaseUser: String?
  /// Runs in Postgres' image: it calls psql.
  public var isPsql = false
}

/// What a deployment consists of, whatever it is rendered for.
public struct DeploymentPlan: Sendable {
  public var services: [Service]
  public var jobs: [Job]
  /// The nodes of the Kafka that is brought along.
  public var kafkaNodes: Int
  /// The side that is deployed; nil for both.
  public var side: Side?
  /// Whether each stage has a role and a Kafka user of its own.
  public var rights: DeploymentRights?
  /// The content of the route file.
  public var routes: String
  /// The content of the settings file of the site.
  public var settings: String

  /// Connections of the Postgres that is brought along: seven for each process, and twice as many processes as stages.
  static let databaseConnections = 300
  /// The port of a stage's endpoints and of its admin listener in a container.
  static let (httpPort, adminPort) = (8080, 8081)
  /// The user of the image.
  static let user = 10001
  /// TERM: five seconds for requests, then what is in hand.
  static let stopSeconds = 60
  static let databaseSecret = SecretFile(name: "database-password", variable: "REGPROC_DATABASE_PASSWORD_FILE")

  /// - Parameters:
  ///   - side: nil for both sides in one cluster.
  ///   - hasBridge: whether flows leave stages to others.
  ///   - rights: nil for one user of the database and of Kafka that does everything.
  public init(
    stages: [DeployedStage], side: Side? = nil, hasBridge: Bool, kafkaNodes: Int = 1, rights: DeploymentRights? = nil,
    routes: String,
    settings: String
  ) {
    let here = stages.filter { (side == nil || $0.side == side) && (hasBridge || !$0.isBridge) }.sorted { $0.name < $1.name }
    let ports = Self.hostPorts(here.map(\.name))
    // The embedded hub of any process may deliver to who subscribes.
    let subscribers = here.filter { stage in
      ServiceLinks.table.contains { $0.isCallback && $0.plugin == stage.plugin && stage.texts.contains($0.setting) }
    }.map(\.name)
    services = here.map { stage in
      let links = ServiceLinks.of(stage, among: here)
      let called = Set(links.compactMap(\.service) + subscribers).subtracting([stage.name])
      return Service(
        name: stage.name, stage: stage, command: ["run", stage.name], links: links,
        secrets: [rights == nil ? Self.databaseSecret : DeploymentRights.password(stage.name)]
          + stage.secrets.sorted().filter { ServiceLinks.isNeeded($0) }.map { Self.secret(stage.name, $0) },
        databaseUser: rights?.role(of: stage.name), calls: called.sorted(),
        isCalledFromOutside: ServiceLinks.calledFromOutside.contains(stage.plugin),
        hostPort: ports[stage.name] ?? 0)
    }
    // The OpenCRVS-side mediator takes nothing from the bus.
    jobs = ProgramJobs.all(rights, stages: here.map(\.name)).filter { side != .opencrvs || !$0.needsKafka }
    self.rights = rights
    self.side = side
    self.kafkaNodes = kafkaNodes
    self.routes = routes
    self.settings = settings
  }

  private static func secret(_ stage: String, _ setting: String) -> SecretFile {
    SecretFile(name: "\(stage)-\(setting)", variable: variable(stage, setting) + "_FILE")
  }

  static func variable(_ stage: String, _ setting: String) -> String {
    "REGPROC_STAGE_\(stage)_\(setting)".uppercased().replacing("-", with: "_")
  }

  /// Variables of all services that follow from what is deployed: whose keys are made here, and for whose topics a service cares.
  var variables: [String: String] {
    var out: [String: String] = [:]
    out["REGPROC_SIDE"] = side?.rawValue
    if rights != nil || side == .opencrvs { out["REGPROC_KAFKA_TOPICS"] = "own" }
    return out
  }
  /// All secrets, sorted.
  var secrets: [SecretFile] {
    Set(services.flatMap(\.secrets) + jobs.flatMap(\.secrets)).sorted { $0.name < $1.name }
  }
  /// What only the site knows.
  var outside: [OutsideURL] { OutsideURL.allCases.filter { url in services.contains { $0.links.contains { $0.outside == url } } } }

  /// Ports from the stages' names, so that a further stage changes no other's: even numbers from 20000 to 29998, the admin listener one above.
  static func hostPorts(_ names: [String]) -> [String: Int] {
    var taken: Set<Int> = []
    var ports: [String: Int] = [:]
    for name in names.sorted() {
      // FNV-1a
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      var port = 20_000 + Int(hash % 5000) * 2
      while !taken.insert(port).inserted { port = port == 29_998 ? 20_000 : port + 2 }
      ports[name] = port
    }
    return ports
  }
}

/// The commands of the program that jobs run.
enum ProgramJobs {
  static func all(_ rights: DeploymentRights?, stages: [String]) -> [Job] {
    let topics = Job(name: "topics", command: ["topics", "create"], needsKafka: true, needsDatabase: false)
    guard let rights else {
      return [
        Job(
          name: "migrate", command: ["database", "migrate"], needsKafka: false, needsDatabase: true,
          secrets: [DeploymentPlan.databaseSecret]), topics,
      ]
    }
    return [
      Job(
        name: "roles", command: [], needsKafka: false, needsDatabase: true,
        secrets: [DeploymentPlan.databaseSecret] + (DeploymentRights.others + stages).map { DeploymentRights.password($0) },
        isPsql: true),
      Job(
        name: "migrate", command: ["database", "migrate", "--grants"], needsKafka: false, needsDatabase: true,
        secrets: [DeploymentRights.password("owner")], databaseUser: rights.role(of: "owner")), topics,
    ]
  }
}

/// By which settings stages call each other: the one place where a deployment knows plugins.
enum ServiceLinks {
  struct Entry: Sendable {
    var plugin: String
    var setting: String
    /// The plugin that is called.
    var calls: String?
    /// Where it is when it does not run here.
    var outside: OutsideURL?
    /// Others call the stage there.
    var isCallback = false
  }

  static let table = [
    Entry(plugin: "mosip-mediator", setting: "callback-url", calls: "mosip-mediator", isCallback: true),
    Entry(plugin: "mosip-mediator", setting: "opencrvs-mediator-url", calls: "opencrvs-mediator", outside: .opencrvsMediator),
    Entry(plugin: "mosip-mediator", setting: "packet-receiver-url", calls: "packet-receiver"),
    Entry(plugin: "mosip-mediator", setting: "registration-status-url", calls: "packet-receiver"),
    Entry(plugin: "opencrvs-mediator", setting: "mosip-url", calls: "mosip-mediator", outside: .mosipMediator),
    Entry(plugin: "opencrvs-mediator", setting: "opencrvs-url", outside: .opencrvs),
  ]
  /// By OpenCRVS, the mediator of the other side, registration clients, a receiver in a DMZ, and MOSIP's admin pages and scripts.
  static let calledFromOutside: Set = [
    "opencrvs-mediator", "mosip-mediator", "packet-receiver", "securezone-notification", "workflow-manager",
  ]

  /// A stage's secret settings that a deployment gives; the others belong to ways that a site chooses.
  static func isNeeded(_ setting: String) -> Bool { ["sha-secret", "hub-secret"].contains(setting) }

  static func of(_ stage: DeployedStage, among stages: [DeployedStage]) -> [ServiceLink] {
    table.filter { $0.plugin == stage.plugin && stage.texts.contains($0.setting) }.map { entry in
      let service = entry.calls.flatMap { plugin in stages.first { $0.plugin == plugin }?.name }
      return ServiceLink(
        variable: DeploymentPlan.variable(stage.name, entry.setting), service: service,
        outside: service == nil ? entry.outside : nil)
    }
  }
}

/// A file of a rendered tree.
public struct RenderedFile: Sendable, Equatable {
  public var path: String
  public var text: String
  public var isProgram = false

  init(_ path: String, _ text: String, isProgram: Bool = false) {
    self.path = path
    self.text = text
    self.isProgram = isProgram
  }
}

/// The first line of every rendered file that has comments.
let mark =
  "# Rendered by `regproc deploy render` from routes.yaml, stages/ and settings: change those, or what the README names, and render again.\n"

/// What trees are rendered for.
public enum Target: String, Sendable, CaseIterable {
  case compose, kubernetes, helm, systemd

  /// The whole tree, sorted by path.
  public func render(_ plan: DeploymentPlan) -> [RenderedFile] {
    let files =
      switch self {
      case .compose: Compose.files(plan)
      case .kubernetes: Kustomize.files(plan)
      case .helm: Helm.files(plan)
      case .systemd: Systemd.files(plan)
      }
    return files.sorted { $0.path < $1.path }
  }
}
