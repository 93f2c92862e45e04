import HTTP
import System

/// `regproc probe`: what a container's health check runs, in an image without a shell.
enum ProbeCommand {
  static let command = Command(
    name: "probe", summary: "asks the process of these settings whether it is alive or ready",
    details: "By its admin listener on this machine. Exit code 0: it is. Kubernetes asks the listener itself.",
    operands: [Operand(name: "WHAT", meaning: "liveness or readiness (default: readiness)", isRequired: false)],
    takesSettings: true, example: "probe readiness", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let what = arguments.operand(0) ?? "readiness"
    guard ["liveness", "readiness"].contains(what) else { throw Failure("what is asked is liveness or readiness, not `\(what)`") }
    let settings = try Settings(arguments, around)
    let scheme = settings.text("admin.tls.certificate") == nil ? "http" : "https"
    let host = settings.text("admin.host") ?? "127.0.0.1"
    // Whoever listens everywhere answers on loopback too.
    let name = ["0.0.0.0", "::"].contains(host) ? "127.0.0.1" : host.contains(":") ? "[\(host)]" : host
    let client = Client(try settings.adminClient())
    defer { client.close() }
    let url = "\(scheme)://\(name):\(settings.integer("admin.port"))/actuator/health/\(what)"
    let answer = try await client.send(ClientRequest(method: "GET", url: url))
    guard answer.status == 200 else {
      around.console.err("regproc: \(what): \(answer.status)\n")
      return 1
    }
    return 0
  }
}
