/// What a tree for Kubernetes says in its own way: Kustomize as it stands, a chart by its values.
struct ClusterSite: Sendable {
  var image: Node
  var pullPolicy: Node
  /// The name of the Secret with what `DeploymentPlan.secrets` names.
  var secret: Node
  /// The name of the claim with the data folder.
  var claim: Node
  /// The namespace in which Prometheus runs.
  var monitoring: Node
  var kafkaImage: Node
  var postgresImage: Node
  var replicas: @Sendable (Service) -> Node
  var resources: @Sendable (Service) -> Node
  /// What stands behind the name of a job: a chart's jobs run at every upgrade.
  var jobSuffix: String
}

/// The objects of Kubernetes, from the plan.
struct ClusterObjects: Sendable {
  let plan: DeploymentPlan
  let site: ClusterSite

  static let (configuration, routes, settings, rights) = (
    "regproc-environment", "regproc-routes", "regproc-settings", "regproc-rights"
  )
  private static func labels(_ name: String) -> Node {
    ["app.kubernetes.io/name": .text(name), "app.kubernetes.io/part-of": "regproc"]
  }

  private static func object(_ version: String, _ kind: String, _ name: String, _ more: [(String, Node)], labelled: String? = nil)
    -> Node
  {
    Node.map([
      Node.Pair("apiVersion", .text(version)), Node.Pair("kind", .text(kind)),
      Node.Pair("metadata", ["name": .text(name), "labels": labels(labelled ?? name)]),
    ]).adding(more)
  }

  static let account = object(
    "v1", "ServiceAccount", "regproc", [("automountServiceAccountToken", false)])

  static func claim(mode: Node, size: Node, more: [(String, Node)] = []) -> Node {
    object(
      "v1", "PersistentVolumeClaim", "regproc-data",
      [
        (
          "spec",
          Node.map([Node.Pair("accessModes", .list([mode])), Node.Pair("resources", ["requests": ["storage": size]])]).adding(more)
        )
      ])
  }

  /// What every pod of ours is.
  private func pod(_ name: String, _ container: Node, volumes: [Node], more: [(String, Node)]) -> Node {
    [
      "metadata": ["labels": Self.labels(name)],
      "spec": Node.map([
        Node.Pair("serviceAccountName", "regproc"), Node.Pair("automountServiceAccountToken", false),
        Node.Pair("enableServiceLinks", false), Node.Pair("securityContext", Self.podSecurity(DeploymentPlan.user)),
      ]).adding(more).adding([("containers", [container]), ("volumes", .list(volumes))]),
    ]
  }

  private static func podSecurity(_ user: Int) -> Node {
    [
      "runAsNonRoot": true, "runAsUser": .number(user), "runAsGroup": .number(user), "fsGroup": .number(user),
      "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": ["type": "RuntimeDefault"],
    ]
  }

  private static func containerSecurity(isReadOnly: Bool = true) -> Node {
    [
      "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": .flag(isReadOnly), "capabilities": ["drop": ["ALL"]],
    ]
  }

  private static func variables(_ values: [String: String]) -> Node {
    .list(values.sorted { $0.key < $1.key }.map { ["name": .text($0.key), "value": .text($0.value)] })
  }

  private func mounts(hasData: Bool, hasRights: Bool = false) -> Node {
    .list(
      [
        ["name": "routes", "mountPath": "/etc/regproc/routes", "readOnly": true],
        ["name": "settings", "mountPath": "/etc/regproc/settings", "readOnly": true],
        ["name": "secrets", "mountPath": "/run/secrets/regproc", "readOnly": true], ["name": "tmp", "mountPath": "/tmp"],
      ] + (hasData ? [["name": "data", "mountPath": "/data"]] : [])
        + (hasRights ? [["name": "rights", "mountPath": "/etc/regproc/rights", "readOnly": true]] : []))
  }

  /// The whole folders, not single files of them: Kubernetes changes those under a running process, which reads the route file again.
  private func volumes(_ secrets: [SecretFile], own: String?) -> [Node] {
    var sources: [Node] = [
      [
        "secret": [
          "name": site.secret, "items": .list(secrets.map { ["key": .text($0.name), "path": .text($0.name)] }),
        ]
      ]
    ]
    // What a site gives this stage alone: its Kafka user, its database role.
    if let own { sources.append(["secret": ["name": .text("regproc-\(own)"), "optional": true]]) }
    return [
      ["name": "routes", "configMap": ["name": .text(Self.routes)]],
      ["name": "settings", "configMap": ["name": .text(Self.settings)]],
      ["name": "secrets", "projected": ["defaultMode": 0o400, "sources": .list(sources)]],
      ["name": "tmp", "emptyDir": ["sizeLimit": "256Mi"]],
    ]
  }

  private static func path(_ secret: SecretFile) -> String { "/run/secrets/regproc/\(secret.name)" }

  private static func probe(_ path: String, period: Int, failures: Int) -> Node {
    [
      "httpGet": ["path": .text("/actuator/health/\(path)"), "port": "admin"], "periodSeconds": .number(period),
      "timeoutSeconds": 3,
      "failureThreshold": .number(failures),
    ]
  }

  func statefulSet(_ service: Service) -> Node {
    var environment = Configuration.own.merging(plan.variables) { $1 }
    environment["REGPROC_HTTP_URL"] = "http://\(service.name):\(DeploymentPlan.httpPort)"
    environment["REGPROC_HTTP_OUTGOING_HOSTS"] = (service.calls + [service.name]).sorted().joined(separator: ",")
    for link in service.links {
      if let name = link.service { environment[link.variable] = "http://\(name):\(DeploymentPlan.httpPort)" }
    }
    for secret in service.secrets { environment[secret.variable] = Self.path(secret) }
    environment["PGUSER"] = service.databaseUser
    let container: Node = [
      "name": "regproc", "image": site.image, "imagePullPolicy": site.pullPolicy, "args": Node(service.command),
      "envFrom": [["configMapRef": ["name": .text(Self.configuration)]]], "env": Self.variables(environment),
      "ports": [
        ["name": "http", "containerPort": .number(DeploymentPlan.httpPort)],
        ["name": "admin", "containerPort": .number(DeploymentPlan.adminPort)],
      ],
      // So long a start may wait for Kafka, Postgres and migrations.
      "startupProbe": Self.probe("liveness", period: 2, failures: 150),
      "livenessProbe": Self.probe("liveness", period: 10, failures: 6),
      "readinessProbe": Self.probe("readiness", period: 5, failures: 2), "resources": site.resources(service),
      "securityContext": Self.containerSecurity(), "volumeMounts": mounts(hasData: true),
    ]
    let selector: Node = ["matchLabels": ["app.kubernetes.io/name": .text(service.name)]]
    let volumes =
      volumes(service.secrets, own: service.name) + [["name": "data", "persistentVolumeClaim": ["claimName": site.claim]]]
    return Self.object(
      "apps/v1", "StatefulSet", service.name,
      [
        (
          "spec",
          [
            "replicas": site.replicas(service), "serviceName": .text(service.name), "podManagementPolicy": "Parallel",
            "updateStrategy": ["type": "RollingUpdate"], "selector": selector,
            "template": pod(
              service.name, container, volumes: volumes,
              more: [
                ("terminationGracePeriodSeconds", .number(DeploymentPlan.stopSeconds)),
                (
                  "topologySpreadConstraints",
                  [
                    [
                      "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                      "labelSelector": selector,
                    ]
                  ]
                ),
              ]),
          ]
        )
      ])
  }

  func networkService(_ service: Service) -> Node {
    Self.object(
      "v1", "Service", service.name,
      [
        (
          "spec",
          [
            "selector": ["app.kubernetes.io/name": .text(service.name)],
            "ports": [
              ["name": "http", "port": .number(DeploymentPlan.httpPort), "targetPort": "http"],
              ["name": "admin", "port": .number(DeploymentPlan.adminPort), "targetPort": "admin"],
            ],
          ]
        )
      ])
  }

  func job(_ job: Job) -> Node {
    var environment = Configuration.files
    environment["REGPROC_SIDE"] = plan.side?.rawValue
    for secret in job.secrets where !job.isPsql { environment[secret.variable] = Self.path(secret) }
    environment["PGUSER"] = job.isPsql ? "regproc" : job.databaseUser
    let volumes = volumes(job.secrets, own: job.name)
    let rights: Node = ["name": "rights", "configMap": ["name": .text(Self.rights)]]
    let container: Node = [
      "name": "regproc", "image": job.isPsql ? site.postgresImage : site.image, "imagePullPolicy": site.pullPolicy,
      job.isPsql ? "command" : "args": job.isPsql ? ["/bin/sh", "/etc/regproc/rights/make-roles"] : Node(job.command),
      "envFrom": [["configMapRef": ["name": .text(Self.configuration)]]], "env": Self.variables(environment),
      "resources": ["requests": ["cpu": "50m", "memory": "64Mi"], "limits": ["cpu": "1", "memory": "256Mi"]],
      "securityContext": Self.containerSecurity(), "volumeMounts": mounts(hasData: false, hasRights: job.isPsql),
    ]
    return Self.object(
      "batch/v1", "Job", job.name + site.jobSuffix,
      [
        (
          "spec",
          [
            "backoffLimit": 20, "ttlSecondsAfterFinished": 86_400,
            "template": pod(
              job.name, container, volumes: volumes + (job.isPsql ? [rights] : []),
              more: [("restartPolicy", "OnFailure")]),
          ]
        )
      ], labelled: job.name)
  }

  /// Gives each stage its rights on Kafka, with Kafka's own script: for a cluster that knows access control lists, as one of its administrators.
  /// The Secret `regproc-kafka-admin` has the script's `admin.properties`.
  var kafkaLists: [Node] {
    let name = "kafka-acls"
    let command =
      "PATH=$PATH:/opt/kafka/bin exec sh /etc/regproc/rights/kafka-acls.sh"
      + " --bootstrap-server \"$REGPROC_KAFKA_BOOTSTRAP_SERVERS\" --command-config /run/secrets/kafka/admin.properties"
    let container: Node = [
      "name": "kafka-acls", "image": site.kafkaImage, "imagePullPolicy": "IfNotPresent",
      "command": ["/bin/sh", "-ec", .text(command)],
      "envFrom": [["configMapRef": ["name": .text(Self.configuration)]]],
      // The script starts a Java program for each rule.
      "resources": ["requests": ["cpu": "250m", "memory": "256Mi"], "limits": ["cpu": "2", "memory": "512Mi"]],
      "securityContext": Self.containerSecurity(isReadOnly: false),
      "volumeMounts": [
        ["name": "rights", "mountPath": "/etc/regproc/rights", "readOnly": true],
        ["name": "kafka-admin", "mountPath": "/run/secrets/kafka", "readOnly": true],
      ],
    ]
    let job = Self.object(
      "batch/v1", "Job", name + site.jobSuffix,
      [
        (
          "spec",
          [
            "backoffLimit": 20, "ttlSecondsAfterFinished": 86_400,
            "template": pod(
              name, container,
              volumes: [
                ["name": "rights", "configMap": ["name": .text(Self.rights)]],
                ["name": "kafka-admin", "secret": ["secretName": "regproc-kafka-admin", "defaultMode": 0o440]],
              ], more: [("restartPolicy", "OnFailure")]),
          ]
        )
      ], labelled: name)
    return [job, policy(Job(name: name, command: [], needsKafka: true, needsDatabase: false))]
  }

  func budget(_ service: Service) -> Node {
    Self.object(
      "policy/v1", "PodDisruptionBudget", service.name,
      [("spec", ["maxUnavailable": 1, "selector": ["matchLabels": ["app.kubernetes.io/name": .text(service.name)]]])])
  }

  /// Prometheus shows a token: beyond loopback metrics are for the role `admin.read-role` alone.
  var monitor: Node {
    Self.object(
      "monitoring.coreos.com/v1", "ServiceMonitor", "regproc",
      [
        (
          "spec",
          [
            "selector": ["matchLabels": ["app.kubernetes.io/part-of": "regproc"]],
            "endpoints": [
              [
                "port": "admin", "path": "/actuator/prometheus", "interval": "30s",
                "authorization": ["type": "Bearer", "credentials": ["name": "regproc-metrics-token", "key": "token"]],
              ]
            ],
          ]
        )
      ])
  }

  // MARK: network policies

  /// Nothing but what follows.
  static let denyAll = object(
    "networking.k8s.io/v1", "NetworkPolicy", "regproc-default-deny",
    [
      (
        "spec",
        [
          "podSelector": ["matchLabels": ["app.kubernetes.io/part-of": "regproc"]], "policyTypes": ["Ingress", "Egress"],
        ]
      )
    ], labelled: "regproc")

  private static func ports(_ numbers: [Int], udp: Bool = false) -> Node {
    .list(
      (udp ? [["protocol": "UDP", "port": 53]] : []) + numbers.map { ["protocol": "TCP", "port": .number($0)] })
  }

  private static func pods(_ names: [String]) -> Node {
    .list(names.sorted().map { ["podSelector": ["matchLabels": ["app.kubernetes.io/name": .text($0)]]] })
  }

  private static let resolving: Node = ["ports": ports([53], udp: true)]
  /// Kafka and Postgres, wherever they are.
  private static let (broker, postgres): (Node, Node) = (
    ["ports": ports([9092, 9093, 9094])], ["ports": ports([5432])]
  )

  func policy(_ service: Service) -> Node {
    let callers = plan.services.filter { $0.calls.contains(service.name) }.map(\.name)
    var ingress: [Node] = [
      [
        "from": [["namespaceSelector": ["matchLabels": ["kubernetes.io/metadata.name": site.monitoring]]]],
        "ports": Self.ports([DeploymentPlan.adminPort]),
      ]
    ]
    if service.isCalledFromOutside {
      ingress.append(["ports": Self.ports([DeploymentPlan.httpPort])])
    } else if !callers.isEmpty {
      ingress.append(["from": Self.pods(callers), "ports": Self.ports([DeploymentPlan.httpPort])])
    }
    var egress = [Self.resolving, Self.broker, Self.postgres]
    if !service.calls.isEmpty { egress.append(["to": Self.pods(service.calls), "ports": Self.ports([DeploymentPlan.httpPort])]) }
    // A site that names other ports changes them here.
    if service.links.contains(where: { $0.outside != nil }) { egress.append(["ports": Self.ports([80, 443, 5050])]) }
    return Self.object(
      "networking.k8s.io/v1", "NetworkPolicy", service.name,
      [
        (
          "spec",
          [
            "podSelector": ["matchLabels": ["app.kubernetes.io/name": .text(service.name)]], "policyTypes": ["Ingress", "Egress"],
            "ingress": .list(ingress), "egress": .list(egress),
          ]
        )
      ])
  }

  func policy(_ job: Job) -> Node {
    Self.object(
      "networking.k8s.io/v1", "NetworkPolicy", job.name,
      [
        (
          "spec",
          [
            "podSelector": ["matchLabels": ["app.kubernetes.io/name": .text(job.name)]], "policyTypes": ["Egress"],
            "egress": .list([Self.resolving] + (job.needsKafka ? [Self.broker] : []) + (job.needsDatabase ? [Self.postgres] : [])),
          ]
        )
      ])
  }

  var policies: [Node] { [Self.denyAll] + plan.jobs.map { policy($0) } + plan.services.map { policy($0) } }

  // MARK: what is brought along

  /// Kafka in KRaft mode: one node, or three that need each other. Its image keeps its configuration in its root file system.
  var kafka: [Node] {
    let names = (0..<plan.kafkaNodes).map { "kafka-\($0).kafka" }
    let environment = Configuration.kafka(nodes: plan.kafkaNodes).merging([
      "KAFKA_CONTROLLER_QUORUM_VOTERS": names.enumerated().map { "\($0 + 1)@\($1):9093" }.joined(separator: ","),
      "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
    ]) { $1 }
    let start = """
      export KAFKA_NODE_ID=$((${HOSTNAME##*-} + 1))
      export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://$HOSTNAME.kafka:9092
      exec /etc/kafka/docker/run
      """
    let container: Node = [
      "name": "kafka", "image": site.kafkaImage, "command": ["/bin/sh", "-ec", .text(start)], "env": Self.variables(environment),
      "ports": [["name": "kafka", "containerPort": 9092], ["name": "controller", "containerPort": 9093]],
      "startupProbe": ["tcpSocket": ["port": "kafka"], "periodSeconds": 5, "failureThreshold": 60],
      "readinessProbe": ["tcpSocket": ["port": "kafka"], "periodSeconds": 5],
      "resources": ["requests": ["cpu": "250m", "memory": "768Mi"], "limits": ["cpu": "2", "memory": "1536Mi"]],
      "securityContext": Self.containerSecurity(isReadOnly: false),
      "volumeMounts": [["name": "data", "mountPath": "/var/lib/kafka/data"], ["name": "tmp", "mountPath": "/tmp"]],
    ]
    return brought(
      "kafka", replicas: plan.kafkaNodes, user: 1000, container, size: "10Gi", volumes: [["name": "tmp", "emptyDir": [:]]],
      ports: [("kafka", 9092), ("controller", 9093)])
  }

  var postgres: [Node] {
    let container: Node = [
      "name": "postgres", "image": site.postgresImage,
      "args": Node(["-c", "max_connections=\(DeploymentPlan.databaseConnections)"]),
      "env": Self.variables([
        "PGDATA": "/var/lib/postgresql/data/pgdata", "POSTGRES_DB": "regproc", "POSTGRES_USER": "regproc",
        "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256",
        "POSTGRES_PASSWORD_FILE": Self.path(DeploymentPlan.databaseSecret),
      ]), "ports": [["name": "postgres", "containerPort": 5432]],
      "readinessProbe": [
        "exec": ["command": ["pg_isready", "-h", "127.0.0.1", "-U", "regproc", "-d", "regproc"]], "periodSeconds": 5,
        "timeoutSeconds": 5,
      ], "resources": ["requests": ["cpu": "250m", "memory": "256Mi"], "limits": ["cpu": "2", "memory": "1Gi"]],
      "securityContext": Self.containerSecurity(),
      "volumeMounts": [
        ["name": "data", "mountPath": "/var/lib/postgresql/data"], ["name": "tmp", "mountPath": "/tmp"],
        ["name": "run", "mountPath": "/var/run/postgresql"],
        ["name": "secrets", "mountPath": "/run/secrets/regproc", "readOnly": true],
      ],
    ]
    return brought(
      "postgres", replicas: 1, user: 999, container, size: "10Gi",
      volumes: [
        ["name": "tmp", "emptyDir": [:]], ["name": "run", "emptyDir": [:]],
        [
          "name": "secrets",
          "secret": [
            "secretName": site.secret, "defaultMode": 0o400,
            "items": [
              ["key": .text(DeploymentPlan.databaseSecret.name), "path": .text(DeploymentPlan.databaseSecret.name)]
            ],
          ],
        ],
      ], ports: [("postgres", 5432)])
  }

  private func brought(
    _ name: String, replicas: Int, user: Int, _ container: Node, size: Node, volumes: [Node], ports: [(String, Int)]
  ) -> [Node] {
    let selector: Node = ["app.kubernetes.io/name": .text(name)]
    // Not part of regproc for Prometheus and the network policies: neither is what it serves.
    func object(_ version: String, _ kind: String, _ spec: Node) -> Node {
      ["apiVersion": .text(version), "kind": .text(kind), "metadata": ["name": .text(name), "labels": selector], "spec": spec]
    }
    return [
      object(
        "v1", "Service",
        [
          "clusterIP": "None", "publishNotReadyAddresses": true, "selector": selector,
          "ports": .list(ports.map { ["name": .text($0.0), "port": .number($0.1)] }),
        ]),
      object(
        "apps/v1", "StatefulSet",
        [
          "replicas": .number(replicas), "serviceName": .text(name), "podManagementPolicy": "Parallel",
          "selector": ["matchLabels": selector],
          "template": [
            "metadata": ["labels": selector],
            "spec": [
              "automountServiceAccountToken": false, "enableServiceLinks": false, "securityContext": Self.podSecurity(user),
              "terminationGracePeriodSeconds": 60, "containers": [container], "volumes": .list(volumes),
            ],
          ],
          "volumeClaimTemplates": [
            [
              "metadata": ["name": "data"],
              "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": size]]],
            ]
          ],
        ]),
    ]
  }

  /// The brokers that are brought along.
  var ownBrokers: String { (0..<plan.kafkaNodes).map { "kafka-\($0).kafka:9092" }.joined(separator: ",") }

  static func limits(_ resources: Resources) -> Node {
    let mostCPU = resources.mostCPU.map { [Node.Pair("cpu", .text($0))] } ?? []
    return [
      "requests": ["cpu": .text(resources.requestedCPU), "memory": .text(resources.requestedMemory)],
      "limits": .map(mostCPU + [Node.Pair("memory", .text(resources.mostMemory))]),
    ]
  }

  static func documents(_ nodes: [Node]) -> String { nodes.map(\.yaml).joined(separator: "---\n") }
}

extension DeploymentPlan {
  /// The user in the connection that all services share; none where each has a role of its own.
  var user: String { rights == nil ? " user=regproc" : "" }

  /// The files of the rights, for a ConfigMap.
  var rightsFiles: [(name: String, text: String)] {
    guard let rights else { return [] }
    let script = rights.script(self, secrets: "/run/secrets/regproc", rights: "/etc/regproc/rights")
    return [("kafka-acls.sh", rights.kafkaLines), ("make-roles", mark + script), ("roles.sql", rights.rolesSQL)]
  }

  /// Variables that a site sets for all services of a cluster.
  func siteVariables(kafka: String, database: String) -> [String: String] {
    var out = ["REGPROC_KAFKA_BOOTSTRAP_SERVERS": kafka, "REGPROC_DATABASE": database]
    for service in services {
      for link in service.links { if let outside = link.outside { out[link.variable] = outside.example } }
    }
    return out
  }
}

/// Kustomize: a base without Kafka and Postgres, and two overlays.
enum Kustomize {
  static func files(_ plan: DeploymentPlan) -> [RenderedFile] {
    let objects = ClusterObjects(
      plan: plan,
      site: ClusterSite(
        image: "regproc", pullPolicy: "IfNotPresent", secret: "regproc", claim: "regproc-data", monitoring: "monitoring",
        kafkaImage: .text(Configuration.kafkaImage), postgresImage: .text(Configuration.postgresImage), replicas: { _ in 1 },
        resources: { ClusterObjects.limits($0.stage.resources) }, jobSuffix: ""))
    var files = [
      RenderedFile("base/kustomization.yaml", mark + base(plan).yaml),
      RenderedFile(
        "base/site.env", mark + site(plan.siteVariables(kafka: "kafka:9092", database: "host=postgres dbname=regproc\(plan.user)"))
      ),
      RenderedFile("base/routes.yaml", plan.routes), RenderedFile("base/settings.yaml", plan.settings),
      RenderedFile("base/account.yaml", mark + ClusterObjects.account.yaml),
      RenderedFile("base/data.yaml", mark + ClusterObjects.claim(mode: "ReadWriteMany", size: "10Gi").yaml),
      RenderedFile("overlays/one-node/kustomization.yaml", mark + oneNode(objects).yaml),
      RenderedFile("overlays/one-node/kafka.yaml", mark + ClusterObjects.documents(objects.kafka)),
      RenderedFile("overlays/one-node/postgres.yaml", mark + ClusterObjects.documents(objects.postgres)),
      RenderedFile("overlays/production/kustomization.yaml", mark + production(plan).yaml),
      RenderedFile("overlays/production/network-policies.yaml", mark + ClusterObjects.documents(objects.policies)),
      RenderedFile(
        "overlays/production/disruption-budgets.yaml", mark + ClusterObjects.documents(plan.services.map { objects.budget($0) })),
      RenderedFile("overlays/production/service-monitor.yaml", mark + objects.monitor.yaml),
    ]
    files += plan.rightsFiles.map { RenderedFile("base/rights/\($0.name)", $0.text) }
    if plan.rights != nil {
      files += [
        RenderedFile(
          "components/kafka-acls/kustomization.yaml",
          mark
            + Node.map([
              Node.Pair("apiVersion", "kustomize.config.k8s.io/v1alpha1"), Node.Pair("kind", "Component"),
              Node.Pair("resources", ["job.yaml"]),
            ]).yaml),
        RenderedFile("components/kafka-acls/job.yaml", mark + ClusterObjects.documents(objects.kafkaLists)),
      ]
    }
    for job in plan.jobs { files.append(RenderedFile("base/job-\(job.name).yaml", mark + objects.job(job).yaml)) }
    for service in plan.services {
      files.append(
        RenderedFile(
          "base/stage-\(service.name).yaml",
          mark + ClusterObjects.documents([objects.statefulSet(service), objects.networkService(service)])))
    }
    return files
  }

  private static func site(_ variables: [String: String]) -> String {
    variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)\n" }.joined()
  }

  private static func kustomization(_ more: [(String, Node)]) -> Node {
    Node.map([
      Node.Pair("apiVersion", "kustomize.config.k8s.io/v1beta1"), Node.Pair("kind", "Kustomization"),
    ]).adding(more)
  }

  private static func base(_ plan: DeploymentPlan) -> Node {
    kustomization([
      (
        "resources",
        Node(
          ["account.yaml", "data.yaml"] + plan.jobs.map { "job-\($0.name).yaml" } + plan.services.map { "stage-\($0.name).yaml" })
      ), ("images", [["name": "regproc", "newName": "regproc", "newTag": "latest"]]),
      (
        "configMapGenerator",
        .list(
          [
            ["name": .text(ClusterObjects.configuration), "envs": ["site.env"]],
            ["name": .text(ClusterObjects.routes), "files": ["routes.yaml"]],
            ["name": .text(ClusterObjects.settings), "files": ["settings.yaml"]],
          ] + (plan.rights == nil ? [] : [rights(plan)]))
      ),
      // A name that follows from the content would restart every stage for a change that they read while running.
      ("generatorOptions", ["disableNameSuffixHash": true]),
    ])
  }

  private static func rights(_ plan: DeploymentPlan) -> Node {
    ["name": .text(ClusterObjects.rights), "files": Node(plan.rightsFiles.map { "rights/\($0.name)" })]
  }

  private static func oneNode(_ objects: ClusterObjects) -> Node {
    kustomization([
      ("resources", ["../../base", "kafka.yaml", "postgres.yaml"]),
      (
        "configMapGenerator",
        [
          [
            "name": .text(ClusterObjects.configuration), "behavior": "merge",
            "literals": [.text("REGPROC_KAFKA_BOOTSTRAP_SERVERS=\(objects.ownBrokers)")],
          ]
        ]
      ), ("generatorOptions", ["disableNameSuffixHash": true]),
      (
        "patches",
        [
          [
            "target": ["kind": "PersistentVolumeClaim", "name": "regproc-data"],
            "patch": "- op: replace\n  path: /spec/accessModes\n  value: [ReadWriteOnce]\n",
          ]
        ]
      ),
    ])
  }

  private static func production(_ plan: DeploymentPlan) -> Node {
    kustomization([
      ("resources", ["../../base", "disruption-budgets.yaml", "network-policies.yaml", "service-monitor.yaml"]),
      (
        "configMapGenerator",
        [
          [
            "name": .text(ClusterObjects.configuration), "behavior": "merge",
            "literals": [
              .text("REGPROC_DATABASE=host=postgres.database dbname=regproc\(plan.user) sslmode=require"),
              "REGPROC_KAFKA_BOOTSTRAP_SERVERS=kafka-0.kafka.kafka:9092,kafka-1.kafka.kafka:9092,kafka-2.kafka.kafka:9092",
              "REGPROC_KAFKA_REPLICATION=3",
            ],
          ]
        ]
      ), ("generatorOptions", ["disableNameSuffixHash": true]),
      ("replicas", .list(plan.services.map { ["name": .text($0.name), "count": .number(plan.replicas($0))] })),
    ])
  }
}

extension DeploymentPlan {
  /// Instances in production: two, so that one goes on when a node dies. MOSIP's side's mediator is one process: whoever calls it comes again.
  func replicas(_ service: Service) -> Int { service.stage.plugin == "mosip-mediator" ? 1 : 2 }
}
