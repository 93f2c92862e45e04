import TestSupport
import Cryptography
import Glibc
import JSON
import System

@testable import Registration

/// Keys, schema and drafts the packet tests share.
enum PacketSamples {
  static let rid = "10001100020000120240229235959"
  static let refId = "10001_10002"

  static func keys(signer: String = VectorKeys.otherKey) throws -> LocalPacketKeys {
    try LocalPacketKeys(
      certificate: Certificate(pem: VectorKeys.certificate2048), decryptionKey: RSAPrivateKey(pem: VectorKeys.key2048),
      signingKey: RSAPrivateKey(pem: signer), refIDs: [refId])
  }

  /// The schema file of the packet validator.
  static func schema() throws -> IdSchema {
    let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    let file = fopen("/\(root)/stages/packet-validator/id-schema.json", "r")!
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 100_000)
    let count = fread(&bytes, 1, bytes.count, file)
    return try IdSchema(json: Array(bytes[..<count]))
  }

  static func draft() throws -> PacketDraft {
    var draft = PacketDraft(
      rid: rid, source: "OPENCRVS", process: "OPENCRVS_NEW", refId: refId, schemaVersion: "0.1", schema: try schema(),
      fields: [
        "IDSchemaVersion": "0.1", "fullName": #"[{"language":"eng","value":"Zoë Rao"}]"#,
        "gender": [["language": "eng", "value": "Female"]], "dateOfBirth": "2024/02/29", "phone": "9898989898",
        "email": nil, "individualBiometrics": nil, "introducerRID": "10001100020000120240229235958",
        "notInTheSchema": "x",
      ],
      metaInfo: [
        "registrationId": "overwritten", "creationDate": "overwritten",
        "metaData": #"[{"label":"centerId","value":"10001"},{"label":"opencrvsBRN","value":"2024B1"}]"#,
        "operationsData": [["label": "officerId", "value": nil]], "documents": "[]",
      ],
      audits: [["eventId": "OPENCRVS_CREATE_PACKET", "id": .string(rid)]],
      creationDate: Instant(iso: "2024-02-29T23:59:59.123Z")!)
    draft.documents["proofOfIdentity"] = PacketDocument(
      content: Array("%PDF-1.4 a".utf8), type: "DOC001", format: "pdf")
    draft.documents["proofOfAddress"] = PacketDocument(
      content: Array("%PDF-1.4 b".utf8), type: "DOC002", format: "pdf", refNumber: "7")
    draft.documents["proofOfException"] = PacketDocument(content: [1, 2, 3], type: "DOC003", format: "jpg")
    return draft
  }

  /// The entries of a sub-packet of the draft, changed, as a sub-packet that is read.
  static func subPacket(_ name: SubPacketName, _ change: (inout [ZipEntry]) -> Void) throws -> SubPacket {
    let draft = try draft()
    var entries = try SubPacketFiles.make(name, of: draft)
    change(&entries)
    let info = try SubPacketInfo(metadata: ["signature": "AA", "encryptedhash": "AA"])
    return try SubPacket(name: name, info: info, zip: ZipArchive.write(entries, at: draft.creationDate))
  }

  /// What the verifier finds in a packet whose one sub-packet was changed.
  static func findings(_ name: SubPacketName, _ change: (inout [ZipEntry]) -> Void) throws -> [PacketFinding] {
    var parts: [SubPacketName: SubPacket] = [:]
    for each in SubPacketName.allCases { parts[each] = try subPacket(each) { if each == name { change(&$0) } } }
    return PacketContents(rid: rid, source: "OPENCRVS", processName: "OPENCRVS_NEW", subPackets: parts)
      .verify(schema: nil, mandatory: [])
  }
}

func code(_ body: () throws -> Any) -> PacketError.Code? {
  do {
    _ = try body()
    return nil
  } catch { return (error as? PacketError)?.code }
}

func code(_ body: () async throws -> Any) async -> PacketError.Code? {
  do {
    _ = try await body()
    return nil
  } catch { return (error as? PacketError)?.code }
}
