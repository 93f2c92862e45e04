/// A chart: the objects of the Kustomize tree, with values in place of what a site changes.
enum Helm {
  static func files(_ plan: DeploymentPlan) -> [RenderedFile] {
    let objects = ClusterObjects(
      plan: plan,
      site: ClusterSite(
        image: .raw(#""{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}""#),
        pullPolicy: .raw("{{ .Values.image.pullPolicy }}"), secret: .raw("{{ .Values.secret | quote }}"),
        claim: .raw(#"{{ .Values.data.existingClaim | default "regproc-data" }}"#),
        monitoring: .raw("{{ .Values.monitoringNamespace | quote }}"), kafkaImage: .raw("{{ .Values.kafka.image | quote }}"),
        postgresImage: .raw("{{ .Values.database.image | quote }}"),
        replicas: { .raw("{{ (index .Values.stages \"\($0.name)\").replicas }}") },
        resources: { .block("(index .Values.stages \"\($0.name)\").resources") }, jobSuffix: "-{{ .Release.Revision }}"))
    var files = [
      RenderedFile("Chart.yaml", mark + chart.yaml), RenderedFile("values.yaml", mark + valuesHeader + values(plan, objects).yaml),
      RenderedFile("values.schema.json", schema(plan)), RenderedFile(".helmignore", ".git\n*.tgz\n"),
      RenderedFile("files/routes.yaml", plan.routes), RenderedFile("files/settings.yaml", plan.settings),
      template("account", [ClusterObjects.account]), template("configuration", text: configuration(plan)),
      template("data", [data], when: "not .Values.data.existingClaim"), template("jobs", plan.jobs.map { objects.job($0) }),
      template("kafka", objects.kafka, when: ".Values.kafka.bundled"),
      template("postgres", objects.postgres, when: ".Values.database.bundled"),
      template("network-policies", objects.policies, when: ".Values.networkPolicies"),
      template("disruption-budgets", plan.services.map { objects.budget($0) }, when: ".Values.disruptionBudgets"),
      template("service-monitor", [objects.monitor], when: ".Values.serviceMonitor"),
      RenderedFile("templates/NOTES.txt", notes(plan)),
    ]
    if plan.rights != nil { files.append(template("kafka-acls", objects.kafkaLists, when: ".Values.kafka.accessControlLists")) }
    files += plan.rightsFiles.map { RenderedFile("files/rights/\($0.name)", $0.text) }
    for service in plan.services {
      files.append(template("stage-\(service.name)", [objects.statefulSet(service), objects.networkService(service)]))
    }
    return files
  }

  private static let chart: Node = [
    "apiVersion": "v2", "name": "regproc",
    "description": "MOSIP's registration pipeline for civil registration, a StatefulSet for each stage",
    "type": "application", "version": "0.1.0", "appVersion": "latest", "kubeVersion": ">=1.27.0-0",
  ]

  private static let valuesHeader = """
    # The Secret has the keys that README.md lists; it is made before the chart is installed.

    """

  private static func values(_ plan: DeploymentPlan, _ objects: ClusterObjects) -> Node {
    [
      "image": ["repository": "regproc", "tag": "latest", "pullPolicy": "IfNotPresent"], "secret": "regproc",
      "kafka": [
        "bundled": false, "image": .text(Configuration.kafkaImage), "bootstrapServers": "kafka:9092",
        "accessControlLists": false,
      ],
      "database": [
        "bundled": false, "image": .text(Configuration.postgresImage),
        "connection": .text("host=postgres dbname=regproc\(plan.user)"),
      ],
      "data": ["existingClaim": "", "accessMode": "ReadWriteMany", "size": "10Gi", "storageClass": ""],
      "environment": Node(sorted: plan.siteVariables(kafka: "", database: "").filter { !$0.value.isEmpty }),
      "routes": "", "settings": "", "networkPolicies": true, "disruptionBudgets": true, "serviceMonitor": false,
      "monitoringNamespace": "monitoring",
      "stages": .map(
        plan.services.map {
          Node.Pair($0.name, ["replicas": .number(plan.replicas($0)), "resources": ClusterObjects.limits($0.stage.resources)])
        }),
    ]
  }

  private static func template(_ name: String, _ nodes: [Node], when condition: String? = nil) -> RenderedFile {
    let text = ClusterObjects.documents(nodes)
    return template(name, text: condition.map { "{{- if \($0) }}\n\(text){{- end }}\n" } ?? text)
  }
  private static func template(_ name: String, text: String) -> RenderedFile {
    RenderedFile("templates/\(name).yaml", mark + text)
  }

  private static let data = ClusterObjects.claim(
    mode: .raw("{{ .Values.data.accessMode }}"), size: .raw("{{ .Values.data.size }}"),
    more: [("storageClassName", .raw("{{ .Values.data.storageClass | default nil | toJson }}"))])

  private static func configuration(_ plan: DeploymentPlan) -> String {
    let brokers = (0..<plan.kafkaNodes).map { "kafka-\($0).kafka:9092" }.joined(separator: ",")
    func map(_ name: String, _ key: String, _ file: String) -> String {
      """
      apiVersion: v1
      kind: ConfigMap
      metadata:
        name: \(name)
        labels:
          app.kubernetes.io/name: \(name)
          app.kubernetes.io/part-of: regproc
      data:
        \(file): |
          {{- .Values.\(key) | default (.Files.Get "files/\(file)") | nindent 4 }}

      """
    }
    return """
      apiVersion: v1
      kind: ConfigMap
      metadata:
        name: \(ClusterObjects.configuration)
        labels:
          app.kubernetes.io/name: \(ClusterObjects.configuration)
          app.kubernetes.io/part-of: regproc
      data:
        REGPROC_KAFKA_BOOTSTRAP_SERVERS: {{ ternary "\(brokers)" .Values.kafka.bootstrapServers .Values.kafka.bundled | quote }}
        REGPROC_DATABASE: {{ .Values.database.connection | quote }}
        {{- range $name, $value := .Values.environment }}
        {{ $name }}: {{ $value | quote }}
        {{- end }}
      ---
      \(map(ClusterObjects.routes, "routes", "routes.yaml"))---
      \(map(ClusterObjects.settings, "settings", "settings.yaml"))\
      \(rights(plan))
      """
  }

  /// The SQL of the roles, and the script that makes them.
  private static func rights(_ plan: DeploymentPlan) -> String {
    guard plan.rights != nil else { return "" }
    let files = plan.rightsFiles.map { "  \($0.name): |\n    {{- .Files.Get \"files/rights/\($0.name)\" | nindent 4 }}\n" }
    return "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \(ClusterObjects.rights)\ndata:\n" + files.joined()
  }

  private static func notes(_ plan: DeploymentPlan) -> String {
    """
    regproc {{ .Values.image.tag }}: \(plan.services.count) stages. The Secret {{ .Values.secret }} must have the keys
    \(plan.secrets.map { "  \($0.name)\n" }.joined())
    kubectl get pods -l app.kubernetes.io/part-of=regproc

    """
  }

  /// What values may be: also `helm install --set stages.packet-validatr.replicas=2` must not pass in silence.
  private static func schema(_ plan: DeploymentPlan) -> String {
    let quantity: Node = ["type": "object", "additionalProperties": ["type": "string", "pattern": "^[0-9.]+([mkKMGTi]+)?$"]]
    func object(_ properties: [(String, Node)]) -> Node {
      [
        "type": "object", "additionalProperties": false, "required": Node(properties.map(\.0)),
        "properties": .map(properties.map { Node.Pair($0.0, $0.1) }),
      ]
    }
    let (text, flag): (Node, Node) = (["type": "string"], ["type": "boolean"])
    let stage = object([
      ("replicas", ["type": "integer", "minimum": 0]), ("resources", object([("requests", quantity), ("limits", quantity)])),
    ])
    let top = object([
      ("image", object([("repository", text), ("tag", text), ("pullPolicy", ["enum": ["Always", "IfNotPresent", "Never"]])])),
      ("secret", ["type": "string", "minLength": 1]),
      ("kafka", object([("bundled", flag), ("image", text), ("bootstrapServers", text), ("accessControlLists", flag)])),
      ("database", object([("bundled", flag), ("image", text), ("connection", text)])),
      (
        "data",
        object([
          ("existingClaim", text), ("accessMode", ["enum": ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]]), ("size", text),
          ("storageClass", text),
        ])
      ),
      (
        "environment",
        [
          "type": "object", "propertyNames": ["pattern": "^REGPROC_[A-Z0-9_]+$"], "additionalProperties": ["type": "string"],
        ]
      ), ("routes", text), ("settings", text), ("networkPolicies", flag), ("disruptionBudgets", flag), ("serviceMonitor", flag),
      ("monitoringNamespace", text), ("stages", object(plan.services.map { ($0.name, stage) })),
    ])
    // Helm adds a value of its own for charts above this one.
    let schema: Node = Node.map([Node.Pair("$schema", "http://json-schema.org/draft-07/schema#")]).adding(
      top.pairs.map { pair in
        guard pair.key == "properties", case .map(let properties) = pair.value else { return (pair.key, pair.value) }
        return (pair.key, .map(properties + [Node.Pair("global", ["type": "object"])]))
      })
    return schema.json + "\n"
  }
}

extension Node {
  var pairs: [Pair] { if case .map(let pairs) = self { pairs } else { [] } }

  /// The node as JSON, on lines of their own.
  var json: String { json(0) }

  private func json(_ indent: Int) -> String {
    let (pad, end) = (String(repeating: " ", count: indent + 2), String(repeating: " ", count: indent))
    switch self {
    case .text(let text): return Node.quoted(text)
    case .number(let number): return String(number)
    case .flag(let flag): return String(flag)
    case .raw(let text), .block(let text): return Node.quoted(text)
    case .list(let items):
      if items.isEmpty { return "[]" }
      return "[\n" + items.map { pad + $0.json(indent + 2) }.joined(separator: ",\n") + "\n\(end)]"
    case .map(let pairs):
      if pairs.isEmpty { return "{}" }
      return "{\n" + pairs.map { "\(pad)\(Node.quoted($0.key)): \($0.value.json(indent + 2))" }.joined(separator: ",\n")
        + "\n\(end)}"
    }
  }
}
