import ObjectStores
import HTTP
import JSON
import MosipPlatform
import Registration
import StageKit
import System

/// Readers of what MOSIP's services and the object store answer to our calls.
extension FuzzTarget {
  static func answers(_ input: [UInt8]) {
    let line = input.prefix { $0 != 10 }
    let words = String(decoding: line, as: UTF8.self).split(separator: " ").map(String.init)
    guard let name = words.first else { return }
    var response = ClientResponse(status: words.count > 1 ? Int(words[1]) ?? 200 : 200)
    response.body = Array(input.dropFirst(line.count + 1))
    for word in words.dropFirst(2) {
      guard let equals = word.firstIndex(of: "=") else { continue }
      response.headers.append(String(word[..<equals]), String(word[word.index(after: equals)...]))
    }
    switch MosipService(rawValue: name) {
    case .iam: realm(response)
    case .hub: hub(response)
    case .some(let service): envelope(service, response)
    case nil: if name == "object-store" { objects(response) }
    }
  }

  /// What a reader makes of an answer; nil for an error. Of the answer an error holds its code and names of fields at most.
  private static func read<T>(_ reader: () throws -> T) -> T? {
    var value: T?
    named(ServiceError.self) {
      do {
        value = try reader()
      } catch let error as ServiceError {
        guard (1...64).contains(error.code.utf8.count), error.message.utf8.count <= 4096,
          (error.code + error.message).utf8.allSatisfy({ (32...126).contains($0) })
        else { fatalError("an error that shows the answer") }
        throw error
      }
    }
    return value
  }

  // MARK: Keycloak and the hub

  private static func realm(_ response: ClientResponse) {
    if let answer = read({ try TokenAnswer(response, now: Instant(milliseconds: 1_709_251_199_000)) }) {
      guard !answer.token.isEmpty, !answer.token.utf8.contains(where: { $0 <= 32 || $0 >= 127 || $0 == UInt8(ascii: ";") }) else {
        fatalError("a token that leaves its cookie")
      }
      guard answer.life >= 1, answer.life.isFinite else { fatalError("a life that does not end") }
    }
    for key in read({ try RealmKeys.read(response) })?.values.map(\.self) ?? [] {
      guard key.modulusSize <= response.body.count, !key.spki.isEmpty else { fatalError("a key that is none") }
    }
  }

  private static func hub(_ response: ClientResponse) {
    let isTrouble = HubAnswer.isTrouble(response)
    let isPublished = read { try HubAnswer.check(response, "publishing", isThere: false) } != nil
    let isSubscribed = read { try HubAnswer.check(response, "subscribing", isThere: true) } != nil
    guard !isPublished || isSubscribed && !isTrouble && response.status < 300 else { fatalError("a refusal that counts as done") }
  }

  // MARK: MOSIP's envelope

  private static func envelope(_ service: MosipService, _ response: ClientResponse) {
    let reader = AnswerReader(service, limit: 1 << 20)
    _ = reader.isTokenRefused(response)
    _ = read { try reader.isDraftThere(response) }
    if service == .identityAuthentication, read({ try reader.authentication(response) }) == .belongs {
      guard response.status < 400, (try? reader.envelope(response, "a call")) != nil else {
        fatalError("an error that counts as a yes")
      }
    }
    guard let answer = read({ try reader.envelope(response, "a call").response }) else { return }
    let whole = try? JSONValue.parse(response.body, limits: JSONLimits(duplicateKeys: .keepLast))
    guard response.status < 400, whole?["errors"]?.array?.isEmpty ?? true else { fatalError("an error that counts as an answer") }
    let size = response.body.count
    switch service {
    case .packetManager: packets(reader, answer, size)
    case .identityRepository, .vids: identities(reader, answer, size)
    case .keyManager, .syncData: keys(reader, answer, size)
    case .masterData:
      schema(reader, answer)
      let values = read { try reader.masterData(answer) } ?? []
      guard Set(values.map(\.code)).count == values.count, values.allSatisfy({ !$0.code.isEmpty }) else {
        fatalError("a value twice, or without a code")
      }
      if let text = read({ try reader.template(answer) }) ?? nil, text.utf8.count > size { fatalError("more than was sent") }
    case .notifier:
      if read({ try reader.messageTaken(answer, "a message") }) != nil, answer["status"]?.string?.lowercased() != "success" {
        fatalError("a refusal that counts as sent")
      }
    case .credentials:
      if let made = read({ try reader.credentialRequest(answer) }), made.isEmpty { fatalError("a request without an id") }
      _ = reader.credentialState(answer)
    case .rids:
      if let rid = read({ try reader.rid(answer, centerId: "10001", machineId: "10002") }), !rid.text.hasPrefix("1000110002") {
        fatalError("a RID of another machine")
      }
    case .identityAuthentication:
      if let certificate = read({ try reader.authenticationCertificate(answer) }) {
        guard certificate.der.count <= size, !certificate.publicKey.spki.isEmpty else { fatalError("a certificate without a key") }
      }
    case .audit: _ = read { try reader.auditTaken(answer) }
    case .iam, .hub: break
    }
  }

  private static func packets(_ reader: AnswerReader, _ answer: JSONValue, _ size: Int) {
    var texts = [read { try reader.fields(answer, "fields") } ?? [:], read { try reader.tags(answer) } ?? [:]]
    let audits = read { try reader.audits(answer) } ?? []
    guard audits.count <= answer.array?.count ?? 0 else { fatalError("more audits than were sent") }
    texts += audits
    for each in texts {
      guard each.reduce(0, { $0 + $1.key.utf8.count + $1.value.utf8.count }) <= size else { fatalError("more than was sent") }
    }
    if let found = read({ try reader.document(answer) }), let document = found {
      guard document.content.count <= size else { fatalError("more than was sent") }
    }
    _ = read { try reader.isPacketValid(answer) }
    captures(read { try reader.captures(answer, "captures") } ?? nil, size)
  }

  private static func captures(_ record: BiometricRecord?, _ size: Int) {
    guard let record else { return }
    guard record.segments.count <= CBEFF.mostSegments, record.segments.reduce(0, { $0 + $1.data.count }) <= size else {
      fatalError("more than was sent")
    }
  }

  private static func identities(_ reader: AnswerReader, _ answer: JSONValue, _ size: Int) {
    if let identity = read({ try reader.identity(answer, rid: "") }), identity.uin.isEmpty {
      fatalError("an identity without a UIN")
    }
    let vids = read { try reader.vids(answer) } ?? []
    guard vids.count == answer.array?.count ?? 0 || vids.isEmpty, vids.allSatisfy({ !$0.vid.isEmpty }) else {
      fatalError("VIDs that were not sent")
    }
    captures(read { try reader.keptCaptures(answer, "captures") } ?? nil, size)
    if let uin = reader.draftedUIN(answer), uin.isEmpty || uin.utf8.count > size { fatalError("a UIN that was not sent") }
    _ = (reader.latestRID(answer), read { try reader.publishedStatus(answer) })
  }

  private static func keys(_ reader: AnswerReader, _ answer: JSONValue, _ size: Int) {
    if let data = read({ try reader.data(answer, "encryption") }), data.count > size { fatalError("more than was sent") }
    if let token = read({ try reader.partnerToken(answer) }), token.utf8.count != 36 { fatalError("a token of another length") }
    if let jws = read({ try reader.jws(answer) }) {
      let bytes = Array(jws.utf8)
      guard bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).count == 3,
        bytes.allSatisfy({ $0 > 32 && $0 < 127 })
      else { fatalError("a JWS that leaves its header field") }
    }
    if let key = reader.machineKey(answer), key.isEmpty { fatalError("a key without bytes") }
    _ = (read { try reader.isSignatureRight(answer) }, read { try reader.applicationCertificate(answer) })
    for known in read({ try reader.applicationCertificates(answer) }) ?? [] {
      guard known.certificate.der.count <= size, known.endsAt <= known.certificate.notAfter else { fatalError("a key without end") }
    }
  }

  /// Somebody made up, against whatever schema comes.
  private static let person: JSONObject = [
    "IDSchemaVersion": 0.1, "fullName": [["language": "eng", "value": "Asha Rao"]], "phone": "9876543210", "age": 30,
    "proofOfIdentity": ["refNumber": nil],
  ]

  private static func schema(_ reader: AnswerReader, _ answer: JSONValue) {
    guard let found = read({ try reader.idSchema(answer) }), let schema = found else { return }
    for field in schema.fields {
      guard schema.field(field.name)?.name.utf8.elementsEqual(field.name.utf8) == true else { fatalError("a field that is lost") }
    }
    let few = schema.violations(of: person, mandatory: Set(schema.required))
    let all = schema.violations(of: person, mandatory: Set(schema.required), strictness: .all)
    guard few.count <= all.count else { fatalError("a laxer check that finds more") }
  }

  // MARK: the object store

  private static func objects(_ response: ClientResponse) {
    let outcome = read { try S3Outcome(response, "a request") }
    if case .done = outcome, !(200..<300).contains(response.status) { fatalError("a refusal that counts as done") }
    if let code = S3Error(response.body)?.code {
      guard code.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }) else {
        fatalError("a code that is none")
      }
    }
    if let page = S3Listing(response.body) {
      let room = page.keys.count * "<Contents><Key></Key></Contents>".utf8.count
      guard page.keys.reduce(room, { $0 + $1.utf8.count }) <= response.body.count else { fatalError("keys that were not sent") }
      guard String(decoding: response.body, as: UTF8.self).contains("</ListBucketResult>") else {
        fatalError("a list without an end")
      }
      if let next = page.next, next.isEmpty || next.utf8.count > response.body.count { fatalError("a place that was not sent") }
    }
    guard S3Metadata.read(response.headers)?.count ?? 0 <= response.headers.count else { fatalError("metadata that were not sent") }
  }
}
