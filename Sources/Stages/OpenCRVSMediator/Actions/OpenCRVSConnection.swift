import HTTP
import OpenCRVS
import StageKit
import System

/// How a stage is connected to an OpenCRVS that asks and waits, looked at from outside before it runs: for `regproc doctor`. It asks and
/// changes nothing.
package struct OpenCRVSConnection: Sendable {
  /// What was found.
  package struct Finding: Sendable, Equatable {
    /// What is to be made of it.
    package enum Kind: Sendable { case good, warn, bad }

    /// What is to be made of it.
    package let kind: Kind
    /// What it is, and what helps.
    package let text: String

    static func good(_ text: String) -> Finding { Finding(kind: .good, text: text) }
    static func warn(_ text: String) -> Finding { Finding(kind: .warn, text: text) }
    static func bad(_ text: String) -> Finding { Finding(kind: .bad, text: text) }
  }

  private let policy: ActionPolicy
  private let auth: OpenCRVSAuth?
  private let birthType: String
  /// Hours.
  private let answerWithin: Int

  /// Nothing for a stage that gets webhooks alone.
  /// - Throws: `SettingError` as the stage itself does.
  package init?(_ settings: StageSettings) throws {
    guard let policy = try ActionPolicy(settings) else { return nil }
    self.policy = policy
    auth = try OpenCRVSAuth(settings)
    birthType = try DeclarationFields(settings, "declaration-file").type(of: .birth)
    answerWithin = settings.integer("answer-within")
  }

  /// Looks at all of it.
  package func findings(_ http: any HTTPExchange) async -> [Finding] {
    [await keys(http), await reach("gateway-url", policy.gateway, http)]
      + (policy.errorURL.isEmpty ? [] : [await reach("error-url", policy.errorURL, http)])
      + time() + (await fields(http))
  }

  private func keys(_ http: any HTTPExchange) async -> Finding {
    let url = Showing.withoutSecretParts(policy.keysURL)
    do {
      let count = try await RecordTokens.keyCount(at: policy.keysURL, http)
      return .good("record-token-keys-url: \(url) shows \(count == 1 ? "a key" : "\(count) keys")")
    } catch {
      return .bad("record-token-keys-url: \(url) \(error.message); without a key every caller is kept waiting")
    }
  }

  /// Whether anything answers, be it what it may.
  private func reach(_ setting: String, _ url: String, _ http: any HTTPExchange) async -> Finding {
    do {
      let answer = try await http.send(ClientRequest(method: "HEAD", url: url, maxResponseBytes: 1 << 16))
      if answer.status < 500 { return .good("\(setting): \(Showing.withoutSecretParts(url)) answers") }
      return .bad("\(setting): \(Showing.withoutSecretParts(url)) answers \(answer.status); is what stands behind it up?")
    } catch {
      let reason = (error as? HTTPError)?.reason ?? "it does not answer"
      return .bad("\(setting): \(Showing.withoutSecretParts(url)): \(reason); is it up, and is the address right?")
    }
  }

  /// OpenCRVS' tokens count for so many hours.
  private static let tokenLife = 7 * 24

  private func time() -> [Finding] {
    if (1..<Self.tokenLife).contains(answerWithin) { return [] }
    return [
      .warn(
        "answer-within is \(answerWithin == 0 ? "for ever" : "\(answerWithin) hours"), but OpenCRVS' tokens count for \(Self.tokenLife): a "
          + "record whose answer comes later hangs. Give fewer hours")
    ]
  }

  private func fields(_ http: any HTTPExchange) async -> [Finding] {
    let wanted = [("nid-field", policy.nidField), ("aid-field", policy.aidField)].compactMap { name, id in id.map { (name, $0) } }
    guard !wanted.isEmpty else { return [] }
    guard let auth else {
      return [
        .warn(
          "the forms of OpenCRVS were not looked at, since opencrvs-auth-url is not set: do they have \(Self.list(wanted))?")
      ]
    }
    do {
      let token = try await auth.newToken(http)
      let forms = try await ActionGateway(url: policy.gateway, http: http).fieldIds(token: token)
      return judge(wanted, forms)
    } catch {
      guard let error = error as? ServiceError, error.kind != .notFound else {
        return [.good("OpenCRVS has no forms of 1.9 or later; nid-field and aid-field are not needed")]
      }
      return [
        .warn(
          "the forms of OpenCRVS cannot be read: \(error.service) \(error.message). Is opencrvs-client a system client there, with this secret?"
        )
      ]
    }
  }

  private static func list(_ wanted: [(String, String)]) -> String {
    wanted.map { "\($0.1) (\($0.0))" }.joined(separator: " and ")
  }

  private func judge(_ wanted: [(name: String, id: String)], _ forms: [String: Set<String>]) -> [Finding] {
    guard let form = forms[birthType] else {
      return [.bad("OpenCRVS has no form for events of type \(birthType): events.birth of declaration-file names the country's")]
    }
    return wanted.flatMap { name, id -> [Finding] in
      guard form.contains(id) else {
        return [
          .bad("\(name): the form has no field \(id), so it is never sent: give a field of the form, or an empty text for none")
        ]
      }
      return [.good("\(name): \(id) is a field of the form")] + (name == "nid-field" && id == Self.hiddenField ? [Self.hidden] : [])
    }
  }

  private static let hiddenField = "child.nid"
  /// docs/upstream/scenarios.md#35-what-destroys-or-blocks-a-record
  private static let hidden = Finding.warn(
    "nid-field: OpenCRVS 1.9.11 to 1.9.15 refuses every correction of a record in which the hidden field child.nid has a value. On these "
      + "releases show the field in the form, make it uncorrectable, or give another nid-field; others need nothing")
}
