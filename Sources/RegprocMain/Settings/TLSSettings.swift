import HTTP
import System

/// TLS of the listeners, and what outgoing calls trust and show.
extension Settings {
  /// The files of a listener's certificate; nil when it speaks plain HTTP.
  /// - Parameter listener: `http` or `admin`.
  /// - Throws: `Failure` when one of two is missing.
  func tlsFiles(_ listener: String) throws(Failure) -> TLSIdentity.Files? {
    let names = ["certificate", "key", "client-ca"].map { "\(listener).tls.\($0)" }
    guard let files = try pair(names[0], names[1]) else {
      if text(names[2]) != nil { throw Failure("\(names[2]) is set without \(names[0]) and \(names[1])") }
      return nil
    }
    return TLSIdentity.Files(certificate: files.certificate, key: files.key, clientCA: text(names[2]))
  }

  /// A listener's certificate; nil when it speaks plain HTTP.
  /// - Throws: `Failure` when it cannot be used.
  func tls(_ listener: String) throws(Failure) -> TLSIdentity? {
    guard let files = try tlsFiles(listener) else { return nil }
    do {
      let identity = try TLSIdentity(files)
      _ = try identity.check()
      return identity
    } catch {
      throw Failure("\(listener).tls cannot be used: \((error as? HTTPError)?.reason ?? "\(error)")")
    }
  }

  /// Where others find the endpoints.
  func url(port: Int) -> String {
    if let url = text("http.url") { return url }
    let scheme = text("http.tls.certificate") == nil ? "http" : "https"
    return "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
  }

  /// How the outside is called: our own endpoints too, which stages find by `http.url`.
  /// - Throws: `Failure` when a certificate has no key.
  func client() throws(Failure) -> ClientSettings {
    ClientSettings(caFile: text("http.trusted-ca") ?? text("http.tls.certificate"), identity: try identity(for: "http"))
  }

  /// How the operators' endpoints are called.
  /// - Throws: `Failure` when a certificate has no key.
  func adminClient() throws(Failure) -> ClientSettings {
    ClientSettings(
      connectTimeoutSeconds: 2, timeoutSeconds: 5, caFile: text("http.trusted-ca") ?? text("admin.tls.certificate"),
      identity: try identity(for: "admin"))
  }

  /// What is shown to a server that asks for a certificate: the one that is set, or that of a listener of ours which asks for one itself.
  private func identity(for listener: String) throws(Failure) -> TLSIdentity.Files? {
    if let own = try pair("http.client-certificate", "http.client-key") { return own }
    guard let files = try tlsFiles(listener), files.clientCA != nil else { return nil }
    return TLSIdentity.Files(certificate: files.certificate, key: files.key)
  }

  /// A certificate and its key; nil when there is neither.
  private func pair(_ certificate: String, _ key: String) throws(Failure) -> TLSIdentity.Files? {
    switch (text(certificate), text(key)) {
    case (nil, nil): return nil
    case (let file?, let secret?): return TLSIdentity.Files(certificate: file, key: secret)
    case (_?, nil): throw Failure("\(certificate) is set without \(key)")
    case (nil, _?): throw Failure("\(key) is set without \(certificate)")
    }
  }
}
