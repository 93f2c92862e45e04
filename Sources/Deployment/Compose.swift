/// Docker Compose, and podman-compose: everything on one machine, Kafka and Postgres with it.
enum Compose {
  static func files(_ plan: DeploymentPlan) -> [RenderedFile] {
    [
      RenderedFile("compose.yaml", mark + header + compose(plan).yaml),
      RenderedFile("compose.host-network.yaml", mark + hostHeader + hostNetwork(plan).yaml),
      RenderedFile("routes/routes.yaml", plan.routes), RenderedFile("settings/settings.yaml", plan.settings),
      RenderedFile("make-secrets", makeSecrets(plan), isProgram: true),
      RenderedFile(".gitignore", mark + "secrets/\n.env\n"),
    ]
      + (plan.rights.map { rights in
        [
          RenderedFile("rights/roles.sql", rights.rolesSQL),
          RenderedFile("rights/make-roles", mark + rights.script(plan, secrets: "/run/secrets", rights: "/etc/regproc/rights")),
        ]
      } ?? [])
  }

  private static let header = """
    # What a site changes are variables, here with their defaults; they can stand in a file .env beside this one.
    # ./make-secrets writes the secrets that are missing, once, before the first `docker compose up`.

    """
  private static let hostHeader = """
    # For tests on a machine without container networks: docker compose -f compose.yaml -f compose.host-network.yaml up
    # Every container then listens on the host itself, on 127.0.0.1, each on ports of its own, and none waits for another to be started.

    """

  /// A variable with a default. In the default `:-` may not stand.
  private static func site(_ name: String, _ value: String) -> Node { .text("${\(name):-\(value)}") }

  private static let locked: [(String, Node)] = [
    ("cap_drop", ["ALL"]), ("security_opt", ["no-new-privileges:true"]),
  ]

  private static func compose(_ plan: DeploymentPlan) -> Node {
    var services: [(String, Node)] = []
    for node in 1...plan.kafkaNodes { services.append((kafkaName(node, plan), kafka(node, plan))) }
    services.append(("postgres", postgres()))
    for job in plan.jobs { services.append((job.name, self.job(job, plan))) }
    for service in plan.services { services.append((service.name, self.service(service, plan))) }
    services.append((tool, commands(plan)))
    let volumes = ["data"] + (1...plan.kafkaNodes).map { kafkaName($0, plan) } + ["postgres"]
    return [
      "name": "regproc", "services": .map(services.map { Node.Pair($0.0, $0.1) }),
      "secrets": .map(plan.secrets.map { Node.Pair($0.name, ["file": .text("./secrets/\($0.name)")]) }),
      "volumes": .map(volumes.map { Node.Pair($0, [:]) }),
    ]
  }

  private static func kafkaName(_ node: Int, _ plan: DeploymentPlan) -> String { plan.kafkaNodes == 1 ? "kafka" : "kafka-\(node)" }

  private static func brokers(_ plan: DeploymentPlan) -> String {
    (1...plan.kafkaNodes).map { kafkaName($0, plan) + ":9092" }.joined(separator: ",")
  }

  /// What a container of ours may do, and what it sees.
  private static func ours(_ plan: DeploymentPlan) -> [(String, Node)] {
    [
      ("image", site("REGPROC_IMAGE", "regproc:latest")), ("user", "\(DeploymentPlan.user):\(DeploymentPlan.user)"),
      ("read_only", true),
    ] + locked + [("tmpfs", ["/tmp"])]
  }

  private static func connections(_ plan: DeploymentPlan, kafka: Bool = true, database: Bool = true) -> [String: String] {
    var out: [String: String] = [:]
    if kafka { out["REGPROC_KAFKA_BOOTSTRAP_SERVERS"] = "${REGPROC_KAFKA:-\(brokers(plan))}" }
    if database {
      out["REGPROC_DATABASE"] = "${REGPROC_DATABASE:-host=postgres dbname=regproc\(user(plan))}"
    }
    return out
  }

  /// With roles of their own stages say who they are beside the connection.
  private static func user(_ plan: DeploymentPlan) -> String { plan.rights == nil ? " user=regproc" : "" }

  private static func path(_ secret: SecretFile) -> String { "/run/secrets/\(secret.name)" }

  private static let mounts: [Node] = ["./routes:/etc/regproc/routes:ro", "./settings:/etc/regproc/settings:ro"]

  private static func service(_ service: Service, _ plan: DeploymentPlan) -> Node {
    var environment = connections(plan).merging(Configuration.own) { $1 }.merging(plan.variables) { $1 }
    environment["REGPROC_HTTP_URL"] = url(service)
    environment["REGPROC_HTTP_OUTGOING_HOSTS"] = outgoing(service, plan)
    for link in service.links {
      if let name = link.service { environment[link.variable] = "http://\(name):\(DeploymentPlan.httpPort)" }
      if let outside = link.outside { environment[link.variable] = "${\(outside.variable):-\(outside.example)}" }
    }
    for secret in service.secrets { environment[secret.variable] = path(secret) }
    if let user = service.databaseUser { environment["PGUSER"] = user }
    var parts =
      ours(plan) + [
        ("command", Node(service.command)), ("environment", Node(sorted: environment)),
        ("secrets", Node(service.secrets.map(\.name).sorted())), ("volumes", .list(mounts + ["data:/data"])),
      ]
    if service.stage.plugin == "opencrvs-mediator" {
      parts.append(("ports", ["${REGPROC_BIND:-127.0.0.1}:${REGPROC_PORT:-8080}:\(Node.port(DeploymentPlan.httpPort))"]))
    } else if service.isCalledFromOutside, plan.outside.contains(.opencrvsMediator) {
      parts.append(
        (
          "ports",
          ["${REGPROC_BIND:-127.0.0.1}:${REGPROC_PORT_\(variablePart(service.name)):-0}:\(Node.port(DeploymentPlan.httpPort))"]
        ))
    }
    let resources = service.stage.resources
    parts += [
      ("depends_on", .map(plan.jobs.map { Node.Pair($0.name, ["condition": "service_completed_successfully"]) })),
      (
        "healthcheck",
        [
          "test": ["CMD", "/usr/bin/regproc", "probe", "readiness"], "interval": "10s", "timeout": "5s", "retries": 6,
          "start_period": "30s",
        ]
      ), ("mem_limit", .text(composeMemory(resources.mostMemory))),
    ]
    if let most = resources.mostCPU { parts.append(("cpus", .text(composeCPU(most)))) }
    parts += [("restart", "unless-stopped"), ("stop_grace_period", .text("\(DeploymentPlan.stopSeconds)s"))]
    return .map(parts.map { Node.Pair($0.0, $0.1) })
  }

  private static let tool = "regproc"

  /// The program's commands for operators, with the rights of `regproc_operator`: `docker compose run --rm regproc journey RID`.
  private static func commands(_ plan: DeploymentPlan) -> Node {
    var environment = connections(plan).merging(Configuration.files) { $1 }
    environment["REGPROC_DATA"] = "/data"
    environment["REGPROC_SIDE"] = plan.side?.rawValue
    let secret = plan.rights == nil ? DeploymentPlan.databaseSecret : DeploymentRights.password("operator")
    environment[secret.variable] = path(secret)
    environment["PGUSER"] = plan.rights?.role(of: "operator")
    return .map(
      (ours(plan) + [
        ("profiles", ["tools"]), ("command", ["help"]), ("environment", Node(sorted: environment)),
        ("secrets", Node([secret.name])),
        ("volumes", .list(mounts + ["data:/data"])),
      ]).map { Node.Pair($0.0, $0.1) })
  }

  private static func variablePart(_ name: String) -> String { name.uppercased().replacing("-", with: "_") }
  private static func url(_ service: Service) -> String { "http://\(service.name):\(DeploymentPlan.httpPort)" }

  /// The hosts that the embedded hub and the mediators may call by addresses that others gave.
  private static func outgoing(_ service: Service, _ plan: DeploymentPlan) -> String {
    (service.calls + [service.name]).sorted().joined(separator: ",")
  }

  /// Kubernetes' `256Mi` as Compose writes it.
  static func composeMemory(_ text: String) -> String {
    let units = ["Ki": "k", "Mi": "m", "Gi": "g"]
    for (unit, letter) in units where text.hasSuffix(unit) { return text.dropLast(2) + letter }
    return text
  }

  /// Kubernetes' `250m` as Compose writes it.
  static func composeCPU(_ text: String) -> String {
    guard text.hasSuffix("m"), let thousandths = Int(text.dropLast()) else { return text }
    let rest = String(thousandths % 1000 + 1000).dropFirst()
    return "\(thousandths / 1000).\(rest)"
  }

  private static func job(_ job: Job, _ plan: DeploymentPlan) -> Node {
    var environment = connections(plan, kafka: job.needsKafka, database: job.needsDatabase).merging(Configuration.files) { $1 }
    if plan.kafkaNodes == 1, job.needsKafka { environment["REGPROC_KAFKA_REPLICATION"] = "${REGPROC_KAFKA_REPLICATION:--1}" }
    environment["REGPROC_SIDE"] = plan.side?.rawValue
    for secret in job.secrets where !job.isPsql { environment[secret.variable] = path(secret) }
    if let user = job.databaseUser { environment["PGUSER"] = user }
    var needs: [Node.Pair] = []
    if job.needsKafka { needs += (1...plan.kafkaNodes).map { Node.Pair(kafkaName($0, plan), ["condition": "service_healthy"]) } }
    if job.needsDatabase { needs.append(Node.Pair("postgres", ["condition": "service_healthy"])) }
    if plan.jobs.contains(where: \.isPsql), job.needsDatabase, !job.isPsql {
      needs.append(Node.Pair("roles", ["condition": "service_completed_successfully"]))
    }
    if job.isPsql { return psql(job, environment, needs) }
    return .map(
      (ours(plan) + [
        ("command", Node(job.command)), ("environment", Node(sorted: environment)),
      ] + (job.secrets.isEmpty ? [] : [("secrets", Node(job.secrets.map(\.name)))]) + [
        ("volumes", .list(mounts)), ("depends_on", .map(needs)), ("restart", "on-failure"),
      ]).map { Node.Pair($0.0, $0.1) })
  }

  private static func psql(_ job: Job, _ environment: [String: String], _ needs: [Node.Pair]) -> Node {
    var environment = environment.filter { $0.key == "REGPROC_DATABASE" }
    environment["PGUSER"] = "regproc"
    return Node.map(
      ([
        ("image", site("POSTGRES_IMAGE", Configuration.postgresImage)), ("user", site("POSTGRES_RUN_AS", "999:999")),
        ("read_only", true),
      ]
        + locked + [
          ("tmpfs", ["/tmp"]), ("entrypoint", ["/bin/sh", "/etc/regproc/rights/make-roles"]),
          ("environment", Node(sorted: environment)),
          ("secrets", Node(job.secrets.map(\.name).sorted())), ("volumes", ["./rights:/etc/regproc/rights:ro"]),
          ("depends_on", .map(needs)), ("restart", "on-failure"),
        ]).map { Node.Pair($0.0, $0.1) })
  }

  private static func kafka(_ node: Int, _ plan: DeploymentPlan) -> Node {
    let name = kafkaName(node, plan)
    let voters = (1...plan.kafkaNodes).map { "\($0)@\(kafkaName($0, plan)):9093" }.joined(separator: ",")
    let environment = Configuration.kafka(nodes: plan.kafkaNodes).merging([
      "KAFKA_NODE_ID": "\(node)", "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
      "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://\(name):9092", "KAFKA_CONTROLLER_QUORUM_VOTERS": voters,
    ]) { $1 }
    return Node.map(
      ([("image", site("KAFKA_IMAGE", Configuration.kafkaImage))] + locked + [
        ("environment", Node(sorted: environment)), ("volumes", [.text("\(name):/var/lib/kafka/data")]),
        (
          "healthcheck",
          [
            "test": [
              "CMD", "/opt/kafka/bin/kafka-broker-api-versions.sh", "--bootstrap-server", "localhost:9092",
            ], "interval": "5s", "timeout": "20s", "retries": 24, "start_period": "10s",
          ]
        ), ("restart", "unless-stopped"), ("stop_grace_period", "60s"),
      ]).map { Node.Pair($0.0, $0.1) })
  }

  private static func postgres() -> Node {
    Node.map(
      ([
        ("image", site("POSTGRES_IMAGE", Configuration.postgresImage)), ("user", site("POSTGRES_RUN_AS", "999:999")),
        ("read_only", true),
      ]
        + locked + [
          ("tmpfs", ["/tmp", "/var/run/postgresql"]),
          ("command", Node(["postgres", "-c", "max_connections=\(DeploymentPlan.databaseConnections)"])),
          (
            "environment",
            [
              "POSTGRES_DB": "regproc", "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256",
              "POSTGRES_PASSWORD_FILE": .text(path(DeploymentPlan.databaseSecret)), "POSTGRES_USER": "regproc",
            ]
          ), ("secrets", [.text(DeploymentPlan.databaseSecret.name)]), ("volumes", ["postgres:/var/lib/postgresql/data"]),
          (
            "healthcheck",
            [
              "test": ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "regproc", "-d", "regproc"], "interval": "5s", "timeout": "5s",
              "retries": 24, "start_period": "10s",
            ]
          ), ("restart", "unless-stopped"), ("stop_grace_period", "60s"),
        ]).map { Node.Pair($0.0, $0.1) })
  }

  /// Everything on the host's own network, where ports and not names tell services apart.
  private static func hostNetwork(_ plan: DeploymentPlan) -> Node {
    var services: [Node.Pair] = []
    let host = "127.0.0.1"
    let brokers = "${REGPROC_KAFKA:-\((1...plan.kafkaNodes).map { "\(host):\(kafkaPort($0))" }.joined(separator: ","))}"
    let database = "${REGPROC_DATABASE:-host=\(host) dbname=regproc\(user(plan))}"
    for node in 1...plan.kafkaNodes {
      let voters = (1...plan.kafkaNodes).map { "\($0)@\(host):\(kafkaPort($0) + 1)" }.joined(separator: ",")
      services.append(
        Node.Pair(
          kafkaName(node, plan),
          [
            "network_mode": "host",
            "environment": [
              "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://\(host):\(Node.port(kafkaPort(node)))",
              "KAFKA_CONTROLLER_QUORUM_VOTERS": .text(voters),
              "KAFKA_LISTENERS":
                "PLAINTEXT://\(host):\(Node.port(kafkaPort(node))),CONTROLLER://\(host):\(Node.port(kafkaPort(node) + 1))",
            ],
            "healthcheck": [
              "test": [
                "CMD", "/opt/kafka/bin/kafka-broker-api-versions.sh", "--bootstrap-server", "\(host):\(Node.port(kafkaPort(node)))",
              ]
            ],
          ]))
    }
    services.append(
      Node.Pair(
        "postgres",
        [
          "network_mode": "host",
          "command": Node([
            "postgres", "-c", "listen_addresses=\(host)", "-c", "max_connections=\(DeploymentPlan.databaseConnections)",
          ]),
        ]))
    for job in plan.jobs {
      var environment: [String: String] = [:]
      if job.needsKafka { environment["REGPROC_KAFKA_BOOTSTRAP_SERVERS"] = brokers }
      if job.needsDatabase { environment["REGPROC_DATABASE"] = database }
      services.append(
        Node.Pair(job.name, ["network_mode": "host", "environment": Node(sorted: environment), "depends_on": waitsForNothing]))
    }
    let ports = Dictionary(uniqueKeysWithValues: plan.services.map { ($0.name, $0.hostPort) })
    for service in plan.services {
      var environment = [
        "REGPROC_KAFKA_BOOTSTRAP_SERVERS": brokers, "REGPROC_DATABASE": database, "REGPROC_HTTP_HOST": host,
        "REGPROC_ADMIN_HOST": host,
        "REGPROC_HTTP_URL": "http://\(host):\(service.hostPort)", "REGPROC_HTTP_PORT": "\(service.hostPort)",
        "REGPROC_ADMIN_PORT": "\(service.hostPort + 1)", "REGPROC_HTTP_OUTGOING_HOSTS": host,
      ]
      // The host's name is everybody's; ids on the bus have the stage's name beside it.
      environment["REGPROC_INSTANCE"] = service.name
      for link in service.links {
        if let name = link.service, let port = ports[name] { environment[link.variable] = "http://\(host):\(port)" }
      }
      services.append(
        Node.Pair(service.name, ["network_mode": "host", "environment": Node(sorted: environment), "depends_on": waitsForNothing]))
    }
    services.append(
      Node.Pair(
        tool,
        [
          "network_mode": "host",
          "environment": ["REGPROC_KAFKA_BOOTSTRAP_SERVERS": .text(brokers), "REGPROC_DATABASE": .text(database)],
        ]))
    return ["services": .map(services)]
  }

  /// podman 4.3 (Debian 12) starts nothing that depends on a job that has ended. Without dependencies jobs are tried again until they can be
  /// done, and services wait by themselves.
  private static let waitsForNothing = Node.raw("!reset {}")

  private static func kafkaPort(_ node: Int) -> Int { 9092 + (node - 1) * 2 }

  private static func makeSecrets(_ plan: DeploymentPlan) -> String {
    """
    #!/bin/sh
    \(mark)# Writes the secrets that are missing into secrets/, each a random text of its own. What is there stays.
    # The folder is for its owner alone; the files in it can be read, because a container's user is another one.
    set -eu
    cd "$(dirname "$0")"
    mkdir -p secrets
    chmod 700 secrets
    for name in \(plan.secrets.map(\.name).joined(separator: " ")); do
      [ -s "secrets/$name" ] && continue
      od -An -N24 -tx1 /dev/urandom | tr -d ' \\n' >"secrets/$name.new"
      chmod 444 "secrets/$name.new"
      mv "secrets/$name.new" "secrets/$name"
      echo "secrets/$name was made"
    done

    """
  }
}

extension Node {
  /// A port inside a text.
  static func port(_ number: Int) -> String { String(number) }
}

/// What is the same wherever the program runs in containers.
enum Configuration {
  static let kafkaImage = "apache/kafka:4.1.0"
  static let postgresImage = "postgres:17"

  /// Where the site's files are in a container.
  static let files = [
    "REGPROC_ROUTES": "/etc/regproc/routes/routes.yaml", "REGPROC_SETTINGS": "/etc/regproc/settings/settings.yaml",
  ]

  /// The variables of every service.
  static let own = files.merging([
    "REGPROC_DATA": "/data", "REGPROC_HTTP_HOST": "0.0.0.0", "REGPROC_HTTP_PORT": "\(DeploymentPlan.httpPort)",
    // Probes come from outside the container.
    "REGPROC_ADMIN_HOST": "0.0.0.0", "REGPROC_ADMIN_PORT": "\(DeploymentPlan.adminPort)",
    // The job applies migrations: services need no right to change tables.
    "REGPROC_DATABASE_MIGRATE": "check",
  ]) { $1 }

  /// Kafka in KRaft mode, each node broker and controller.
  static func kafka(nodes: Int) -> [String: String] {
    let copies = "\(min(nodes, 3))"
    let enough = "\(nodes > 2 ? 2 : 1)"
    return [
      // Any id will do, and a rendered tree must not change by itself.
      "CLUSTER_ID": "cmVncHJvYy1rYWZrYS0wMQ", "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
      "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
      "KAFKA_DEFAULT_REPLICATION_FACTOR": copies, "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
      "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
      "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
      "KAFKA_MIN_INSYNC_REPLICAS": enough, "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": copies,
      "KAFKA_PROCESS_ROLES": "broker,controller",
      "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": enough, "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": copies,
    ]
  }
}
