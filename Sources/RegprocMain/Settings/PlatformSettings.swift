import ObjectStores
import MosipPlatform
import EmbeddedPlatform
import StageKit
import System

/// Which platform services are used, and where they are.
extension SettingEntry {
  static let platform: [SettingEntry] =
    [
      SettingEntry(
        "platform", .choice(["embedded", "mosip"]), flag: "platform", "NAME", default: "embedded",
        "platform services: embedded in this process, or mosip for those of a MOSIP deployment (REST)"),
      SettingEntry(
        "object-store", .choice(["folder", "s3"]), flag: "object-store", "NAME", default: "folder",
        "where packets are kept: in the data folder, or in S3"),
      SettingEntry(
        "hub.give-up-hours", .integer(1...8760), "N", default: "24",
        "how long the embedded hub repeats a delivery that its subscriber refuses; what follows waits for it"),
      SettingEntry(
        "hub.suspend-hours", .integer(1...8760), "N", default: "6",
        "how long the embedded hub knocks at a subscriber that gives no answer; then its subscription is suspended until it subscribes "
          + "again, or a person resumes it"),
      SettingEntry(
        "identity.mandatory-fields", .text, "FIELDS", default: IdentityRules.mosipMandatory.joined(separator: ","),
        "what the embedded id repository demands of a new identity where its schema does too, with commas between "
          + "(mandatory-attributes.id-repository.new-registration)"),
      SettingEntry(
        "identity.verification-partner", .text, "PARTNER", default: IdentityRules.mosipPartner,
        "the partner that verifies people online: the embedded id repository tells it of identities that are deactivated or activated"
      ),
      SettingEntry(
        "mosip.client-id", default: "mosip-regproc-client", "our client in MOSIP's Keycloak"),
      SettingEntry("mosip.client-secret", isSecret: true, "its secret; better in mosip.client-secret-file"),
      SettingEntry("mosip.client-secret-file", .path, "FILE", "a file whose first line is our client's secret"),
      SettingEntry(
        "mosip.clients-file", .path, "FILE",
        "further clients, a line each: NAME.id=..., NAME.secret=..., NAME.token-url=..., NAME.style=form or query. NAME is what stages call "
          + "the client (opencrvs), or a partner's id (opencrvs-partner) for its topics at the hub"),
      SettingEntry(
        "mosip.issuer", .url, "URL", "the issuer that callers' tokens name (default: mosip.iam-url)"),
      SettingEntry(
        "mosip.realm-keys-seconds", .integer(10...86_400), "N", default: "300",
        "the realm's public keys are read again after so long: a key that was revoked no longer counts"),
      SettingEntry(
        "mosip.datashare-url", .url, "URL",
        "where MOSIP's data shares are, for credentials that come by one (default with platform mosip: http://datashare.datashare)"),
      SettingEntry(
        "mosip.audience", .text, "NAME",
        "the audience (aud) that callers' tokens must name; without it none is asked for, as MOSIP's realm sets none"),
      SettingEntry(
        "mosip.languages", .languages, "CODES", default: "eng",
        "the languages that names of master data are asked for in (MOSIP's mandatory and optional ones), e.g. eng,fra"),
      SettingEntry(
        "mosip.authentication-env", .text, "NAME", default: "Staging",
        "env of what is asked of ID authentication (mosip.identity.auth.internal.env)"),
      SettingEntry(
        "mosip.authentication-domain", .text, "URL", "domainUri of what is asked of ID authentication: MOSIP's public URL"),
      SettingEntry(
        "mosip.timeout-seconds", .integer(1...600), "N", default: "30", "for one try of a call"),
      SettingEntry(
        "mosip.attempts", .integer(1...20), "N", default: "3", "tries of a call that may be made twice"),
      SettingEntry(
        "mosip.breaker-failures", .integer(1...1000), "N", default: "5", "failures in a row after which a service is left alone"),
      SettingEntry(
        "mosip.breaker-seconds", .integer(1...3600), "N", default: "10", "for how long it is left alone"),
      SettingEntry(
        "mosip.max-answer-mib", .integer(1...1024), "N", default: "32", "the largest answer that is taken"),
      SettingEntry("mosip.ca-file", .path, "FILE", "PEM certificates to trust in place of http.trusted-ca, beside the system's"),
    ]
    + MosipService.allCases.map { service in
      SettingEntry(urlSetting(of: service), .url, "URL", default: service.defaultURL, "where MOSIP's \(service.name) is")
    } + [
      SettingEntry("s3.url", .url, "URL", "the S3 service, e.g. http://minio.minio:9000"),
      SettingEntry("s3.region", default: "us-east-1", "the region that signatures name"),
      SettingEntry("s3.access-key", .text, "TEXT", "the id of the access key"),
      SettingEntry("s3.secret-key", isSecret: true, "the secret key; better in s3.secret-key-file"),
      SettingEntry("s3.secret-key-file", .path, "FILE", "a file whose first line is the secret key"),
      SettingEntry("s3.bucket-prefix", .text, "TEXT", "put before the name of every bucket (object.store.s3.bucket-name-prefix)"),
      SettingEntry(
        "s3.account-as-bucket", .boolean, "BOOLEAN", default: "true",
        "an account is a bucket, as MOSIP's packet manager has it; otherwise each RID is one (object.store.s3.use.account.as.bucketname)"
      ),
      SettingEntry("s3.ca-file", .path, "FILE", "PEM certificates to trust in place of http.trusted-ca, beside the system's"),
    ]

  static func urlSetting(of service: MosipService) -> String { "mosip.\(service.rawValue)-url" }
}

extension Settings {
  /// Whether the services of a MOSIP deployment are used.
  var usesMosip: Bool { text("platform") == "mosip" }
  /// Whether objects are kept in S3.
  var usesS3: Bool { text("object-store") == "s3" }

  /// What the embedded id repository demands. `a|b` in the list is not "either", as in MOSIP: each counts by itself.
  var identityRules: IdentityRules {
    IdentityRules(
      mandatoryForNew: (text("identity.mandatory-fields") ?? "").split { $0 == "," || $0 == "|" }.map { $0.trimmed }
        .filter { !$0.isEmpty },
      verificationPartner: text("identity.verification-partner") ?? IdentityRules.mosipPartner)
  }

  /// Where requests may go whose addresses come from others.
  /// - Parameter url: where this process's endpoints are, and with them an embedded hub.
  func outgoingHosts(url: String) -> OutgoingHosts {
    if let hosts = text("http.outgoing-hosts") { return OutgoingHosts(hosts.split(separator: ",").map { $0.trimmed }) }
    var all = [url]
    if usesMosip {
      all.append(text(SettingEntry.urlSetting(of: .hub)) ?? MosipService.hub.defaultURL)
      all.append(text("mosip.datashare-url") ?? "http://datashare.datashare")
    } else if let share = text("mosip.datashare-url") {
      all.append(share)
    }
    return OutgoingHosts(all)
  }

  /// How MOSIP's services are called.
  private var calling: CallSettings {
    CallSettings(
      timeoutSeconds: Double(integer("mosip.timeout-seconds")), retry: RetryPolicy(attempts: integer("mosip.attempts")),
      breakerFailures: integer("mosip.breaker-failures"), breakerSeconds: Double(integer("mosip.breaker-seconds")),
      maxAnswerBytes: integer("mosip.max-answer-mib") << 20)
  }

  /// Where MOSIP's services are and who we are there.
  /// - Throws: `Failure` when a secret is missing or a file cannot be read.
  func mosip() throws -> MosipSettings {
    guard let secret = try secret("mosip.client-secret") else {
      throw Failure(
        "platform mosip needs the secret of our client: mosip.client-secret-file in a settings file, or REGPROC_MOSIP_CLIENT_SECRET"
      )
    }
    let client = ClientCredentials(id: text("mosip.client-id") ?? "", secret: secret)
    var urls: [MosipService: String] = [:]
    for service in MosipService.allCases { urls[service] = text(SettingEntry.urlSetting(of: service)) }
    return MosipSettings(
      urls: urls, client: client, clients: try clients(), issuer: text("mosip.issuer"), audience: text("mosip.audience"),
      languages: (text("mosip.languages") ?? "eng").split(separator: ",").map { $0.trimmed },
      authenticationEnvironment: text("mosip.authentication-env") ?? "Staging",
      authenticationDomain: text("mosip.authentication-domain"), calling: calling,
      realmKeySeconds: Double(integer("mosip.realm-keys-seconds")))
  }

  /// Where the S3 service is.
  /// - Throws: `Failure` when a part is missing or a file cannot be read.
  func s3() throws -> S3Settings {
    guard let url = text("s3.url"), let key = text("s3.access-key"), let secret = try secret("s3.secret-key") else {
      throw Failure("object-store s3 needs s3.url, s3.access-key and s3.secret-key-file (or REGPROC_S3_SECRET_KEY)")
    }
    var calling = calling
    // A packet travels whole.
    calling.maxAnswerBytes = max(calling.maxAnswerBytes, 128 << 20)
    return S3Settings(
      url: url, region: text("s3.region") ?? "us-east-1", accessKey: key, secretKey: secret,
      bucketPrefix: text("s3.bucket-prefix") ?? "", accountIsBucket: text("s3.account-as-bucket") != "false", calling: calling)
  }

  /// A secret by its setting, or by the file that the setting of the same name with `-file` names.
  private func secret(_ name: String) throws -> String? {
    if let text = text(name) { return text }
    guard let file = text(name + "-file") else { return nil }
    let text = String(decoding: try Files.read(file), as: UTF8.self).split(whereSeparator: \.isNewline).first?.trimmed ?? ""
    guard !text.isEmpty else { throw Failure("\(file) holds no secret in its first line") }
    return text
  }

  private func clients() throws -> [String: ClientCredentials] {
    guard let file = text("mosip.clients-file") else { return [:] }
    var found: [String: [String: String]] = [:]
    for (number, line) in String(decoding: try Files.read(file), as: UTF8.self).split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline
    ).enumerated() {
      let line = line.trimmed
      if line.isEmpty || line.hasPrefix("#") { continue }
      guard let equals = line.firstIndex(of: "="), let dot = line[..<equals].lastIndex(of: "."), dot > line.startIndex else {
        throw Failure("\(file):\(number + 1) is not NAME.PART=VALUE")
      }
      let part = line[line.index(after: dot)..<equals].trimmed
      guard ["id", "secret", "token-url", "style"].contains(part) else {
        throw Failure("\(file):\(number + 1): a client has id, secret, token-url and style, and no \(part)")
      }
      found[line[..<dot].trimmed, default: [:]][part] = line[line.index(after: equals)...].trimmed
    }
    var out: [String: ClientCredentials] = [:]
    for (name, parts) in found {
      guard let id = parts["id"], let secret = parts["secret"] else {
        throw Failure("\(file): the client \(name) needs id and secret")
      }
      guard let style = ClientCredentials.Style(rawValue: parts["style"] ?? "form") else {
        throw Failure("\(file): the style of the client \(name) is form or query")
      }
      out[name] = ClientCredentials(id: id, secret: secret, tokenURL: parts["token-url"], style: style)
    }
    return out
  }
}
