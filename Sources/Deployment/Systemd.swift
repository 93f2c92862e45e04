/// A unit for each stage on one host, under one target. Kafka and Postgres are the host's own, or elsewhere.
enum Systemd {
  static func files(_ plan: DeploymentPlan) -> [RenderedFile] {
    let units = plan.services.map { RenderedFile("units/\(unit($0.name))", mark + stage($0, plan)) }
    let jobs = plan.jobs.filter { !$0.isPsql }.map { RenderedFile("units/\(unit($0.name))", mark + job($0, plan)) }
    return units + jobs + [
      RenderedFile("units/regproc.target", mark + target(plan)), RenderedFile("etc/site.env", mark + site(plan)),
      RenderedFile("etc/routes.yaml", plan.routes), RenderedFile("etc/settings.yaml", plan.settings),
    ]
  }

  private static func unit(_ name: String) -> String { "regproc-\(name).service" }

  private static func site(_ plan: DeploymentPlan) -> String {
    let variables = plan.siteVariables(kafka: "127.0.0.1:9092", database: "host=127.0.0.1 dbname=regproc\(plan.user)")
    return
      "# For all units: where Kafka, Postgres and what is outside are. Secrets are in /etc/regproc/secrets, a file each, for root alone.\n"
      + variables.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"\n" }.joined()
  }

  private static func target(_ plan: DeploymentPlan) -> String {
    """
    [Unit]
    Description=regproc: MOSIP's registration pipeline
    Wants=\(plan.services.map { unit($0.name) }.joined(separator: " "))
    After=network-online.target
    Wants=network-online.target

    [Install]
    WantedBy=multi-user.target

    """
  }

  /// What no unit may do. systemd gives credentials to the unit's own user in a file that nobody else reads.
  private static func locked(_ secrets: [SecretFile], hasData: Bool) -> String {
    let credentials = secrets.sorted { $0.name < $1.name }.map {
      "LoadCredential=\($0.name):/etc/regproc/secrets/\($0.name)\nEnvironment=\($0.variable)=%d/\($0.name)\n"
    }.joined()
    return """
      User=regproc
      Group=regproc
      UMask=0077
      EnvironmentFile=/etc/regproc/site.env
      Environment=REGPROC_HOME=/usr/share/regproc
      Environment=REGPROC_ROUTES=/etc/regproc/routes.yaml
      Environment=REGPROC_SETTINGS=/etc/regproc/settings.yaml
      \(hasData ? "Environment=REGPROC_DATA=/var/lib/regproc\nStateDirectory=regproc\nStateDirectoryMode=0700\n" : "")\(credentials)\
      NoNewPrivileges=true
      CapabilityBoundingSet=
      AmbientCapabilities=
      ProtectSystem=strict
      ProtectHome=true
      ProtectClock=true
      ProtectControlGroups=true
      ProtectHostname=true
      ProtectKernelLogs=true
      ProtectKernelModules=true
      ProtectKernelTunables=true
      ProtectProc=invisible
      PrivateDevices=true
      PrivateTmp=true
      LockPersonality=true
      MemoryDenyWriteExecute=true
      RemoveIPC=true
      RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
      RestrictNamespaces=true
      RestrictRealtime=true
      RestrictSUIDSGID=true
      SystemCallArchitectures=native
      SystemCallFilter=@system-service
      SystemCallErrorNumber=EPERM

      """
  }

  private static func stage(_ service: Service, _ plan: DeploymentPlan) -> String {
    let ports = Dictionary(uniqueKeysWithValues: plan.services.map { ($0.name, $0.hostPort) })
    var environment = [
      "REGPROC_INSTANCE": "%H", "REGPROC_HTTP_HOST": "127.0.0.1", "REGPROC_HTTP_PORT": "\(service.hostPort)",
      "REGPROC_HTTP_URL": "http://127.0.0.1:\(service.hostPort)", "REGPROC_ADMIN_PORT": "\(service.hostPort + 1)",
      "REGPROC_DATABASE_MIGRATE": "check",
    ]
    environment["PGUSER"] = service.databaseUser
    environment.merge(plan.variables) { $1 }
    for link in service.links {
      if let name = link.service, let port = ports[name] { environment[link.variable] = "http://127.0.0.1:\(port)" }
    }
    let jobs = plan.jobs.filter { !$0.isPsql }.map { unit($0.name) }.joined(separator: " ")
    let resources = service.stage.resources
    return """
      [Unit]
      Description=regproc stage \(service.name)
      PartOf=regproc.target
      Requires=\(jobs)
      After=\(jobs) network-online.target
      StartLimitIntervalSec=0

      [Service]
      ExecStart=/usr/bin/regproc \(service.command.joined(separator: " "))
      ExecReload=/bin/kill -HUP $MAINPID
      \(environment.sorted { $0.key < $1.key }.map { "Environment=\($0.key)=\($0.value)\n" }.joined())\
      Restart=always
      RestartSec=2
      KillSignal=SIGTERM
      TimeoutStopSec=\(DeploymentPlan.stopSeconds)
      MemoryMax=\(memory(resources.mostMemory))\(resources.mostCPU.map { "\nCPUQuota=\(quota($0))" } ?? "")
      \(locked(service.secrets, hasData: true))
      [Install]
      WantedBy=regproc.target

      """
  }

  private static func job(_ job: Job, _ plan: DeploymentPlan) -> String {
    """
    [Unit]
    Description=regproc: \(job.command.joined(separator: " "))
    After=network-online.target
    Wants=network-online.target

    [Service]
    Type=oneshot
    RemainAfterExit=true
    ExecStart=/usr/bin/regproc \(job.command.joined(separator: " "))
    Restart=on-failure
    RestartSec=5
    \(plan.side.map { "Environment=REGPROC_SIDE=\($0.rawValue)\n" } ?? "")\(job.databaseUser.map { "Environment=PGUSER=\($0)\n" } ?? "")\(locked(job.secrets, hasData: false))
    """
  }

  /// Kubernetes' `256Mi` as systemd writes it.
  static func memory(_ text: String) -> String { text.hasSuffix("i") ? String(text.dropLast()) : text }

  /// Kubernetes' `250m` as systemd writes it.
  static func quota(_ text: String) -> String {
    if text.hasSuffix("m"), let thousandths = Int(text.dropLast()) { return "\(max(1, thousandths / 10))%" }
    return (Double(text).map { Int($0 * 100) } ?? 100).description + "%"
  }
}
