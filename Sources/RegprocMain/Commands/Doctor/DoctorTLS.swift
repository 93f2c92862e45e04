import HTTP
import StageKit
import StageRuntime
import System

/// What `regproc doctor` says of the listeners' certificates.
enum DoctorTLS {
  /// From so many days before its end on, a certificate is worth a warning.
  private static let soon = 30.0

  static let check = DoctorCheck("tls", remedy: "docs/tls.md says what a certificate needs") { doctor, report in
    look(doctor.settings, now: .now, report)
  }

  static func look(_ settings: Settings, now: Instant, _ report: DoctorReport) {
    var faults: [String] = []
    func bad(_ error: any Error) {
      let text = (error as? HTTPError)?.reason ?? "\(error)"
      // One fault of the settings is found by whoever needs the setting.
      if !faults.contains(text) { report.bad(text) }
      faults.append(text)
    }
    for listener in ["http", "admin"] {
      do {
        guard let files = try settings.tlsFiles(listener), let identity = try settings.tls(listener) else {
          report.good("\(listener): none configured (\(listener).tls.certificate)")
          continue
        }
        let names = listener == "http" ? names(ofPublic: settings) : names(ofAdmin: settings)
        judge("\(listener): \(files.certificate)", try identity.check(), names, now, report)
      } catch {
        bad(error)
      }
    }
    do { _ = try settings.client() } catch { bad(error) }
    for name in ["http.tls.client-ca", "admin.tls.client-ca", "http.trusted-ca", "http.client-certificate"] {
      guard let file = settings.text(name) else { continue }
      do {
        ends("\(name): \(file)", try TLSIdentity.firstEnd(of: file), now, report)
      } catch {
        report.bad("\(name): \((error as? HTTPError)?.reason ?? "\(error)")")
      }
    }
    if settings.text("http.tls.certificate") != nil, settings.url(port: settings.port).hasPrefix("http://") {
      report.warn(
        "http.url begins with http://, but the process speaks only TLS: right only behind a proxy that is called without TLS")
    }
  }

  private static func ends(
    _ what: String, _ end: Instant, _ now: Instant, _ report: DoctorReport
  ) {
    let (day, left) = (end.iso.prefix(10), end.seconds(since: now) / 86_400)
    if left <= 0 {
      report.bad("\(what) ended on \(day): renew it, the process takes the new one by itself")
    } else if left < soon {
      report.warn("\(what) ends on \(day), in \(Int(left)) days")
    } else {
      report.good("\(what) ends on \(day)")
    }
  }

  private static func judge(
    _ what: String, _ certificate: TLSCertificate, _ names: [String], _ now: Instant, _ report: DoctorReport
  ) {
    if certificate.notBefore > now {
      report.bad("\(what) is not valid before \(certificate.notBefore.iso)")
    } else {
      ends(what, certificate.notAfter, now, report)
    }
    let missing = names.filter { !certificate.covers($0) }
    if !missing.isEmpty { report.bad("\(what) is not for \(missing.joined(separator: ", ")), by which it is called") }
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
