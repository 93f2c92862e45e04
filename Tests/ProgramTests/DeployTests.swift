import FoundationEssentials
import Glibc
import System
import Testing

extension ProgramTests {
  /// `regproc deploy render`, and the trees under deploy/ that it made.
  @Suite struct DeployTests {
    static let targets = ["compose", "kubernetes", "helm", "systemd"]

    /// A tool of the tests' environment, or of the machine.
    static func tool(_ name: String) -> String? {
      let venv = getenv("REGPROC_TEST_VENV").map { String(cString: $0) } ?? Program.repository + "/.build/venv"
      return ["\(venv)/bin/\(name)", "/usr/bin/\(name)"].first { access($0, X_OK) == 0 }
    }
    private static func isThere(_ names: String...) -> Bool { names.allSatisfy { tool($0) != nil } }
    private func run(_ tool: String, _ words: String..., folder: String? = nil) async throws -> Program.Ended {
      try await Program(words, program: try #require(Self.tool(tool)), environment: ["HOME": "/nonexistent"], folder: folder)
        .ended()
    }

    /// All files of a folder by their paths in it; secrets that somebody made are none of ours.
    private func files(_ folder: String) -> [String: String] {
      var out: [String: String] = [:]
      for path in (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? []
      where !path.hasPrefix("secrets/") && path != ".env" {
        var isFolder = false
        guard FileManager.default.fileExists(atPath: "\(folder)/\(path)", isDirectory: &isFolder), !isFolder else { continue }
        out[path] = String(decoding: TemporaryFolder.read("\(folder)/\(path)") ?? [], as: UTF8.self)
      }
      return out
    }

    @Test(arguments: targets) func `the trees under deploy are what route file and stages make`(target: String) async throws {
      let folder = try TemporaryFolder()
      let end = try await Program.run("deploy", "render", target, "--output", folder.path + "/tree")
      #expect(end.code == 0 && end.output.isEmpty, "\(end.errors)")
      let (made, committed) = (files(folder.path + "/tree"), files("\(Program.repository)/deploy/\(target)"))
      let stale = Set(made.keys).union(committed.keys).filter { made[$0] != committed[$0] }.sorted()
      #expect(stale.isEmpty, "stale: make generate")
      // Every stage but the bridge and the reprocessor, which no flow of the shipped route file needs, has one service.
      let stages = TemporaryFolder.names(in: Program.repository + "/stages").filter { !["bridge", "reprocessor"].contains($0) }
      for stage in stages {
        let command =
          switch target {
          case "compose": "      - run\n      - \(stage)\n"
          case "systemd": "ExecStart=/usr/bin/regproc run \(stage)\n"
          default: "            - run\n            - \(stage)\n"
          }
        #expect(made.values.reduce(0) { $0 + $1.ranges(of: command).count } == 1, "\(stage)")
      }
      #expect(end.errors.contains("\(stages.count) services"))
    }

    @Test func `a stage folder more is a service more and a site is not overwritten`() async throws {
      let folder = try TemporaryFolder()
      let stages = folder.path + "/stages"
      try FileManager.default.copyItem(atPath: Program.repository + "/stages", toPath: stages)
      try FileManager.default.copyItem(atPath: stages + "/print", toPath: stages + "/second-print")
      let tree = folder.path + "/site"
      func render(_ more: String...) async throws -> Program.Ended {
        try await Program.run(["deploy", "render", "kubernetes", "--output", tree, "--stages", stages] + more)
      }
      #expect(try await render().code == 0)
      let (now, shipped) = (files(tree), files(Program.repository + "/deploy/kubernetes"))
      #expect(Set(now.keys).subtracting(shipped.keys) == ["base/stage-second-print.yaml"])

      // Without the stage its file goes again; with the other side's stages alone, all of this one's do.
      try FileManager.default.removeItem(atPath: stages + "/second-print")
      #expect(try await render().code == 0)
      #expect(files(tree) == shipped)

      // What somebody wrote or changed stays, and nothing else is written.
      let changed = try folder.write("mine\n", to: "site/base/site.env")
      let refused = try await render("--side", "opencrvs")
      #expect(
        refused.code == 1 && refused.errors.contains("base/site.env") && refused.errors.contains("--force"), "\(refused.errors)")
      #expect(files(tree).count == shipped.count && TemporaryFolder.read(changed) == Array("mine\n".utf8))
      #expect(try await render("--side", "opencrvs", "--force").code == 0)
      let side = files(tree)
      #expect(side.keys.filter { $0.contains("stage-") } == ["base/stage-opencrvs-mediator.yaml"])
      #expect(side["base/site.env"]?.contains("REGPROC_STAGE_OPENCRVS_MEDIATOR_MOSIP_URL=") == true)

      // A settings file is rendered as it stands, so none with a secret in it is.
      let secret = try folder.write("database:\n  connection: host=db password=hidden-word\n", to: "site.yaml")
      let kept = try await render("--settings", secret, "--force")
      #expect(
        kept.code == 1 && kept.errors.contains("database.connection") && !kept.errors.contains("hidden-word"), "\(kept.errors)")
      let wrong = try await Program.run("deploy", "render", "kubernete")
      #expect(wrong.code != 0 && wrong.errors.contains("did you mean kubernetes?"))
    }

    @Test(
      .enabled(
        if: isThere("helm", "kubectl", "kubernetes-validate"),
        "NOT VALIDATED: no helm, kubectl or kubernetes-validate (scripts/test-venv installs them)"))
    func `kubernetes takes the chart and the overlays`() async throws {
      let folder = try TemporaryFolder()
      let (chart, kustomize) = (Program.repository + "/deploy/helm", Program.repository + "/deploy/kubernetes")
      let lint = try await run("helm", "lint", "--strict", chart)
      #expect(lint.code == 0, "\(lint.output) \(lint.errors)")
      var manifests: [String: String] = [:]
      let all = "kafka.accessControlLists=true,kafka.bundled=true,database.bundled=true,serviceMonitor=true,data.storageClass=fast"
      for (name, values) in [("chart", "serviceMonitor=false"), ("chart-all", all)] {
        let made = try await run("helm", "template", "test", chart, "--set", values)
        #expect(made.code == 0, "\(made.errors)")
        manifests[name] = made.output
      }
      for name in ["base", "overlays/one-node", "overlays/production"] {
        let made = try await run("kubectl", "kustomize", kustomize + "/" + name)
        #expect(made.code == 0, "\(made.errors)")
        manifests[name] = made.output
      }
      // The component, as a site adds it to an overlay of its own.
      #expect(try await run("cp", "-r", kustomize, folder.path + "/tree").code == 0)
      _ = try folder.write(
        "resources: [../overlays/production]\ncomponents: [../components/kafka-acls]\n", to: "tree/site/kustomization.yaml")
      let site = try await run("kubectl", "kustomize", folder.path + "/tree/site")
      #expect(site.code == 0, "\(site.errors)")
      manifests["site"] = site.output
      for name in ["chart-all", "site"] {
        #expect(manifests[name]?.contains("kafka-acls.sh --bootstrap-server") == true, "\(name)")
        #expect(manifests[name]?.contains("secretName: regproc-kafka-admin") == true, "\(name)")
      }
      #expect(manifests["chart"]?.contains("regproc-kafka-admin") == false, "only where it is asked for")
      for (name, text) in manifests {
        let file = try folder.write(text, to: name.replacing("/", with: "-") + ".yaml")
        let checked = try await run("kubernetes-validate", "-k", "1.32", "--strict", file)
        #expect(checked.code == 0, "\(name): \(checked.output.suffix(2000)) \(checked.errors.suffix(2000))")
        #expect(text.ranges(of: "kind: StatefulSet\n").count >= 12, "\(name)")
      }
      // Both come from one model: the same stages, the same rights.
      for line in ["kind: NetworkPolicy\n", "kind: PodDisruptionBudget\n"] {
        #expect(manifests["chart"]?.ranges(of: line).count == manifests["overlays/production"]?.ranges(of: line).count)
      }
      // The route file arrives whole.
      #expect(manifests["chart"]?.contains("OPENCRVS_NEW:") == true && manifests["base"]?.contains("OPENCRVS_NEW:") == true)
      let mistyped = try await run("helm", "template", "test", chart, "--set", "stages.packet-validatr.replicas=2")
      #expect(mistyped.code != 0 && mistyped.errors.contains("packet-validatr"), "\(mistyped.errors)")
    }

    @Test(.enabled(if: isThere("podman-compose", "podman"), "NOT VALIDATED: no podman with podman-compose (scripts/setup podman)"))
    func `compose reads its files`() async throws {
      let folder = try TemporaryFolder()
      let tree = folder.path + "/compose"
      for nodes in ["1", "3"] {
        #expect(try await Program.run("deploy", "render", "compose", "--output", tree, "--kafka-nodes", nodes).code == 0)
        let secrets = try await Program([], program: tree + "/make-secrets").ended()
        #expect(secrets.code == 0 && secrets.output.contains("was made") == (nodes == "1"), "\(secrets.errors)")
        for more in [[], ["-f", "compose.host-network.yaml"]] {
          let program = try #require(Self.tool("podman-compose"))
          let words = ["-f", "compose.yaml"] + more + ["config"]
          let read = try await Program(words, program: program, environment: ["HOME": folder.path], folder: tree).ended()
          #expect(read.code == 0, "\(read.errors.suffix(2000))")
          #expect(read.output.ranges(of: "network_mode: host").count == (more.isEmpty ? 0 : nodes == "1" ? 18 : 20))
        }
      }
    }

    @Test(.enabled(if: isThere("systemd-analyze"), "NOT VALIDATED: no systemd-analyze"))
    func `systemd reads its units`() async throws {
      let folder = try TemporaryFolder()
      let tree = files(Program.repository + "/deploy/systemd")
      var paths: [String] = []
      for (path, text) in tree where path.hasPrefix("units/") {
        // It looks for the program, which this machine has elsewhere.
        paths.append(try folder.write(text.replacing("/usr/bin/regproc", with: Program.regproc), to: path))
      }
      let stages = TemporaryFolder.names(in: Program.repository + "/stages").filter { !["bridge", "reprocessor"].contains($0) }
      let expected =
        stages.map { "regproc-\($0).service" } + ["regproc-migrate.service", "regproc-topics.service", "regproc.target"]
      #expect(Set(paths.map { String($0.split(separator: "/").last ?? "") }) == Set(expected))
      let program = try #require(Self.tool("systemd-analyze"))
      let checked = try await Program(
        ["verify", "--man=no"] + paths.sorted(), program: program,
        environment: ["SYSTEMD_UNIT_PATH": "\(folder.path)/units:/lib/systemd/system"]
      ).ended()
      let ours = checked.errors.split(separator: "\n").filter { $0.contains("regproc") }
      #expect(checked.code == 0 && ours.isEmpty, "\(checked.errors)")
    }
  }
}
