import HTTP
import StageKit
import StageRuntime
import System

/// What `regproc doctor` says of the listeners' certificates.
enum DoctorTLS {
  /// From so many days before its end on, a certificate is worth a warning.
  private static let soon = 30.0

  static func check(
    _ settings: Settings, now: Instant, _ say: (String, Bool, String) -> Void, _ warn: (String, String) -> Void
  ) {
    var faults: [String] = []
    func bad(_ error: any Error) {
      let text = (error as? HTTPError)?.reason ?? "\(error)"
      // One fault of the settings is found by whoever needs the setting.
      if !faults.contains(text) { say("tls", false, text) }
      faults.append(text)
    }
    for listener in ["http", "admin"] {
      do {
        guard let files = try settings.tlsFiles(listener), let identity = try settings.tls(listener) else {
          say("tls", true, "\(listener): none configured (\(listener).tls.certificate)")
          continue
        }
        let names = listener == "http" ? names(ofPublic: settings) : names(ofAdmin: settings)
        judge("\(listener): \(files.certificate)", try identity.check(), names, now, say, warn)
      } catch {
        bad(error)
      }
    }
    do { _ = try settings.client() } catch { bad(error) }
    for name in ["http.tls.client-ca", "admin.tls.client-ca", "http.trusted-ca", "http.client-certificate"] {
      guard let file = settings.text(name) else { continue }
      do {
        ends("\(name): \(file)", try TLSIdentity.firstEnd(of: file), now, say, warn)
      } catch {
        say("tls", false, "\(name): \((error as? HTTPError)?.reason ?? "\(error)")")
      }
    }
    if settings.text("http.tls.certificate") != nil, settings.url(port: settings.port).hasPrefix("http://") {
      warn(
        "tls",
        "http.url begins with http://, but the process speaks only TLS: right only behind a proxy that is called without TLS")
    }
  }

  private static func ends(
    _ what: String, _ end: Instant, _ now: Instant, _ say: (String, Bool, String) -> Void, _ warn: (String, String) -> Void
  ) {
    let (day, left) = (end.iso.prefix(10), end.seconds(since: now) / 86_400)
    if left <= 0 {
      say("tls", false, "\(what) ended on \(day): renew it, the process takes the new one by itself")
    } else if left < soon {
      warn("tls", "\(what) ends on \(day), in \(Int(left)) days")
    } else {
      say("tls", true, "\(what) ends on \(day)")
    }
  }

  private static func judge(
    _ what: String, _ certificate: TLSCertificate, _ names: [String], _ now: Instant, _ say: (String, Bool, String) -> Void,
    _ warn: (String, String) -> Void
  ) {
    if certificate.notBefore > now {
      say("tls", false, "\(what) is not valid before \(certificate.notBefore.iso)")
    } else {
      ends(what, certificate.notAfter, now, say, warn)
    }
    let missing = names.filter { !certificate.covers($0) }
    if !missing.isEmpty { say("tls", false, "\(what) is not for \(missing.joined(separator: ", ")), by which it is called") }
  }

  /// The host by which others call the endpoints.
  private static func names(ofPublic settings: Settings) -> [String] {
    let url = settings.url(port: settings.port)
    guard let host = OutgoingHosts.host(of: url), !isEverywhere(host) else { return [] }
    return [host]
  }

  /// The names by which operators call.
  private static func names(ofAdmin settings: Settings) -> [String] {
    let host = settings.text("admin.host") ?? "127.0.0.1"
    let given = (settings.text("admin.names") ?? "").split(separator: ",").map(\.trimmed)
    // On every address, programs of this machine, `doctor` among them, call it by loopback.
    return [isEverywhere(host) ? "127.0.0.1" : host] + given
  }

  private static func isEverywhere(_ host: String) -> Bool { ["0.0.0.0", "::", "[::]"].contains(host) }
}
