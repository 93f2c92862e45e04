import TestSupport
import OpenCRVS
import Foundation
import HTTP
import JSON
import Registration
import StageKit
import StageRuntime
import StandIn
import System
import Testing

@testable import EmbeddedPlatform
@testable import Stages

/// One row of the samples' table on a stand: its bodies, with records, registration numbers and people of its own, so that rows do not meet.
struct Row: Sendable {
  /// How an event ended.
  struct End: Sendable, Equatable, CustomStringConvertible {
    /// What was done, or the code of the error.
    var word: String
    var text = ""
    var changed: [String] = []
    var aid: String?
    var token: String?
    var description: String { "\(word) \(changed) \(text)" }
  }

  let stand: Stand
  let uin: String
  let vid: String
  /// The person who is meant where a row has a second one.
  let other: String
  /// The spouse or the mother: whoever stands beside the person whom the event is about.
  let beside: String
  private let replaced: [(String, String)]

  /// - Parameters:
  ///   - name: four letters or digits, part of ids and numbers; nil for the samples as they are.
  init(_ stand: Stand, _ name: String?) throws {
    self.stand = stand
    guard let name else {
      (uin, vid, other, beside, replaced) = ("8215013740", "7280514271570896", "4502796358", "2671597019", [])
      return
    }
    let rules = IdentifierRules()
    let uins = try rules.uin.generate(count: 3)
    (uin, vid, other, beside) = (uins[0], try rules.vid.generate(count: 1)[0], uins[1], uins[2])
    replaced = [
      ("-8000-00000000", "-8000-\(name)0000"), ("TEST", "T" + name), ("2024BCASE20", "2024B" + name),
      ("8b6bc7ac-2f26", name + "0000-2f26"),
      ("8215013740", uin), ("7280514271570896", vid), ("4502796358", other), ("2671597019", beside), ("2518714850", beside),
    ]
  }

  // MARK: events

  /// A sample's body, with further texts replaced.
  func body(_ sample: String, _ more: [String: String] = [:]) throws -> [UInt8] {
    let path = Stand.home + "/Tests/Samples/scenarios/\(sample).json"
    var text = String(decoding: try Stand.read(path), as: UTF8.self)
    for (old, new) in more {
      #expect(text.contains(old), "\(sample) has no \(old)")
      text = text.replacing(old, with: new)
    }
    for (old, new) in replaced { text = text.replacing(old, with: new) }
    return Array(text.utf8)
  }

  func number(_ number: String) -> String { replaced.reduce(number) { $0.replacing($1.0, with: $1.1) } }

  /// Sends a body and waits for its end.
  @discardableResult func end(_ sample: String, _ more: [String: String] = [:]) async throws -> End {
    let body = try body(sample, more)
    let answer = try await stand.send(body)
    #expect(answer.status == 200, "\(sample): \(String(decoding: answer.body, as: UTF8.self))")
    return try await end(of: body)
  }

  /// Waits until the OpenCRVS side knows how an event ended.
  func end(of body: [UInt8], released: Bool = false) async throws -> End {
    let event = try OpenCRVSEvent(body)
    let (key, number) = (OpenCRVSRecordKey.of(event), event.bundle.registrationNumber ?? "")
    var end: End?
    let came = try await eventually {
      end = try await read(key, number, isBirth: event.topic == "BIRTH_REGISTERED", released)
      return end != nil
    }
    let doings = try await doings(number)
    #expect(came, "\(key) never ended: \(doings)")
    return end ?? End(word: "nothing")
  }

  private func read(_ key: String, _ number: String, isBirth: Bool, _ released: Bool) async throws -> End? {
    if isBirth, let token = stand.openCRVS.returned(number).token {
      return End(word: "created", aid: stand.openCRVS.returned(number).rid, token: token)
    }
    let told = try await documents(
      "SELECT document FROM regproc.stage_record WHERE stage = 'opencrvs-mediator' AND collection = 'statuses' AND document->>'txnId' = $1",
      key)
    if let done = told.first(where: { $0["status"] == "success" }) {
      var token: String?
      if let kept = done["sealedToken"]?.string { token = try await KeptToken.opened(kept, stand.platform.services.envelopeKeys) }
      return End(
        word: done["what"]?.string ?? "", changed: done["changed"]?.array?.compactMap(\.string) ?? [], aid: done["aid"]?.string,
        token: token)
    }
    if released {
      // The hold was told as an error before: how the next go failed, the change itself says.
      guard let failed = try await change(key), failed["status"] == "Failed" else { return nil }
      return Self.error(failed, of: failed["rid"])
    }
    if let error = told.first(where: { $0["status"] == "error" }) { return Self.error(error["errors"]?[0], of: error["aid"]) }
    // What the MOSIP side never took.
    let event = try await documents(
      "SELECT document FROM regproc.stage_record WHERE stage = 'opencrvs-mediator' AND collection = 'events' AND key = $1", key
    ).first
    return event?["status"] == "Failed" ? Self.error(event?["errors"]?[0], of: nil) : nil
  }

  private static func error(_ entry: JSONValue?, of aid: JSONValue?) -> End {
    End(word: entry?["errorCode"]?.string ?? "", text: entry?["errorMessage"]?.string ?? "", aid: aid?.string)
  }

  /// A person lets go on what is held of a number, and it is done.
  func release(_ number: String, _ body: [UInt8]) async throws -> End {
    let number = self.number(number)
    _ = try await stand.pool.with { try Release.start(number, author: "registrar", reason: "looked into by hand", on: $0) }
    return try await end(of: body, released: true)
  }

  // MARK: what became of it

  func change(_ key: String) async throws -> JSONValue? {
    try await documents(
      "SELECT document FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'change_transactions' AND key = $1",
      key
    ).first
  }

  private func documents(_ sql: String, _ parameter: String) async throws -> [JSONValue] {
    try await stand.pool.with { try $0.execute(sql, [.text(parameter)]).map { try JSONValue.parse(Array(try $0.text(0).utf8)) } }
  }

  /// What an operator sees by a number: kind, status and result of each change.
  func doings(_ number: String) async throws -> [String] {
    let number = self.number(number)
    let record = try await stand.pool.with { try RecordJourney.read(number, on: $0) }
    return record?.changes.map { "\($0.kind) \($0.status) \($0.what ?? $0.errorCode ?? "-")" } ?? []
  }

  /// What OpenCRVS was told by a number.
  func heard(_ number: String) -> StandInOpenCRVS.Returned { stand.openCRVS.returned(self.number(number)) }

  // MARK: people

  /// Puts a person into the id repository, as a registration of long ago left it.
  func seed(
    _ uin: String, _ name: String, _ born: String, _ gender: String, vid: String? = nil, status: String = "ACTIVATED",
    captures: Bool = false
  ) async throws {
    let sealer = try Sealer(stand.platform.keys)
    let hash = sealer.hash(uin)
    let sealed = try sealer.seal(Array(uin.utf8), in: SealedColumn.uin.row(hash))
    let identityUIN = try sealer.seal(Array(uin.utf8), in: SealedColumn.identityUIN.row(hash))
    let fields: JSONValue = [
      "IDSchemaVersion": 0.1, "UIN": .string(uin), "fullName": [["language": "eng", "value": .string(name)]],
      "dateOfBirth": .string(born), "gender": [["language": "eng", "value": .string(gender)]],
    ]
    let object = try sealer.seal(fields.encoded(), in: SealedColumn.identityFields.row(hash))
    let rid = "10000100000000120200101\(uin.suffix(6))"
    let file = try sealer.seal(
      Array(Self.captures.utf8), in: SealedColumn.identityDocument.row(hash, Array("individualBiometrics".utf8)))
    try await stand.pool.with { connection in
      try connection.transaction {
        _ = try connection.execute(
          "INSERT INTO platform.uin (uin_hash, sealed, is_free, rules) VALUES ($1, $2, false, '')", [.bytes(hash), .bytes(sealed)])
        _ = try connection.execute(
          "INSERT INTO platform.identity (uin_hash, sealed_uin, rid, status, fields) VALUES ($1, $2, $3, $4, $5)",
          [.bytes(hash), .bytes(identityUIN), .text(rid), .text(status), .bytes(object)])
        _ = try connection.execute(
          "INSERT INTO platform.identity_rid (rid, uin_hash) VALUES ($1, $2)", [.text(rid), .bytes(hash)])
        if let vid {
          _ = try connection.execute(
            "INSERT INTO platform.vid (vid, is_free, uin_hash, type, status, given_at) VALUES ($1, false, $2, 'PERPETUAL', 'ACTIVE', now())",
            [.text(vid), .bytes(hash)])
        }
        if captures {
          _ = try connection.execute(
            "INSERT INTO platform.identity_document (uin_hash, category, content) VALUES ($1, 'individualBiometrics', $2)",
            [.bytes(hash), .bytes(file)])
        }
      }
    }
  }

  private static let captures =
    #"<BIR xmlns="\#(CBEFF.namespace)"><BIR><BIRInfo/><BDBInfo><Format/><Type>Face</Type></BDBInfo><BDB>AQID</BDB></BIR></BIR>"#

  func identity(_ reference: IdentityReference) async throws -> Identity {
    try #require(try await stand.platform.services.identities.identity(reference))
  }

  func status(_ uin: String) async throws -> String { try await identity(.uin(uin)).status }

  /// The topics of the messages that the id repository and the credential service published about a person, as often as they did.
  func published(_ uin: String) async throws -> [String] {
    let sealer = try Sealer(stand.platform.keys)
    let ids = try await stand.platform.services.identities.vids(uin: uin).map(\.vid) + [uin]
    let hashes = Set(ids.map { Encoding.upperHex(sealer.hash("id_hash:" + $0)) })
    let owner = sealer.hash(uin)
    let (rids, messages) = try await stand.pool.with { connection in
      let rids = try connection.execute("SELECT rid FROM platform.identity_rid WHERE uin_hash = $1", [.bytes(owner)])
        .map { try $0.text(0) }
      let messages = try connection.execute(
        "SELECT topic, body FROM platform.hub_message WHERE topic IN ($1, $2, $3) ORDER BY published_at, topic",
        [.text(Self.partner + "/REMOVE_ID"), .text("IDENTITY_UPDATED"), .text(Self.partner + "/CREDENTIAL_ISSUED")]
      ).map { (topic: try $0.text(0), data: try JSONValue.parse(try $0.bytes(1))["event"]?["data"]) }
      return (Set(rids), messages)
    }
    var topics: [String] = []
    for message in messages {
      let id: String?
      if let credential = message.data?["credential"]?.string.flatMap({ Encoding.bytes(base64: $0) }) {
        let opened = try await stand.platform.services.envelopeKeys.open(credential, as: Self.partner)
        id = try JSONValue.parse(opened)["credentialSubject"]?["id"]?.string
      } else {
        id = message.data?["id_hash"]?.string
      }
      guard let id, hashes.contains(id) || rids.contains(id) else { continue }
      topics += message.topic.split(separator: "/").suffix(1).map(String.init)
    }
    return topics
  }
  /// The online verification partner.
  private static let partner = "mpartner-default-auth"

  /// Waits for messages about a person: these, in any order, and no others.
  func expectPublished(_ uin: String, _ topics: [String]) async throws {
    var seen: [String] = []
    _ = try await eventually(within: .seconds(60)) {
      seen = try await published(uin).sorted()
      return seen == topics.sorted()
    }
    #expect(seen == topics.sorted())
  }
}
