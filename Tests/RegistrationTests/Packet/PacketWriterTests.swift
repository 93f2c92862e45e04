import TestSupport
import Cryptography
import JSON
import System
import Testing

@testable import Registration

@Suite("Writing packets", .timeLimit(.minutes(10))) struct PacketWriterTests {
  func entries(_ name: SubPacketName, _ draft: PacketDraft) throws -> [String: [UInt8]] {
    Dictionary(uniqueKeysWithValues: try SubPacketFiles.make(name, of: draft).map { ($0.name, $0.content) })
  }

  func identity(_ entries: [String: [UInt8]], _ file: String) throws -> JSONObject {
    try #require(JSONValue.parse(entries[file]!)["identity"]?.object)
  }

  func hash(_ pieces: [UInt8]...) -> [UInt8] { Array(Encoding.upperHex(Hash.sha256(pieces.flatMap { $0 })).utf8) }

  @Test
  func `A written packet reads back whole and passes every check`() async throws {
    let keys = try PacketSamples.keys()
    let draft = try PacketSamples.draft()
    let written = try await PacketWriter(keys: keys).write(draft)
    #expect(written.packetId == PacketSamples.rid)
    #expect(written.fileName == PacketSamples.rid + ".zip")
    #expect(written.hash == Encoding.upperHex(Hash.sha256(written.content)))
    #expect(written.ignoredFields == ["notInTheSchema"])
    let contents = try await PacketReader(keys: keys).read(written.content, refId: draft.refId)
    #expect(contents.verify(schema: draft.schema, mandatory: ["IDSchemaVersion"]).isEmpty)
    #expect(contents.searchField("dateOfBirth") == "2024/02/29")
    #expect(contents.searchField("introducerRID") == "10001100020000120240229235958")
    #expect(contents.searchField("email") == nil)
    #expect(contents.document("proofOfAddress") == draft.documents["proofOfAddress"])
    #expect(contents.document("proofOfException") == draft.documents["proofOfException"])
    #expect(contents.metaData("opencrvsBRN") == "2024B1")
    #expect(contents.audits == draft.audits)
  }

  @Test
  func `Container entries are named source/process/rid_sub-packet, and their metadata say so`() async throws {
    let keys = try PacketSamples.keys()
    let written = try await PacketWriter(keys: keys).write(PacketSamples.draft())
    let zip = try await keys.decrypt(written.content, refId: PacketSamples.refId)
    let entries = try ZipArchive.read(zip, limits: ZipLimits(), flat: false)
    let start = "OPENCRVS/OPENCRVS_NEW/\(PacketSamples.rid)_"
    let names: [String] = ["evidence", "optional", "id"].flatMap { [start + $0 + ".zip", start + $0 + ".json"] }
    #expect(entries.map(\.name) == names)
    let metadata = try JSONValue.parse(entries[5].content)
    #expect(
      metadata.object?.keys == [
        "id", "packetname", "source", "process", "refid", "schemaversion", "signature", "encryptedhash", "providername",
        "providerversion", "creationdate",
      ])
    #expect(metadata["id"]?.string == PacketSamples.rid)
    #expect(metadata["packetname"]?.string == PacketSamples.rid + "_id")
    #expect(metadata["refid"]?.string == PacketSamples.refId)
    #expect(metadata["schemaversion"]?.string == "0.1")
    #expect(metadata["providername"]?.string == "PacketWriterImpl")
    #expect(metadata["providerversion"]?.string == "v1.0")
    #expect(metadata["creationdate"]?.string == "2024-02-29T23:59:59.123Z")
    let sealed = entries[4].content
    #expect(metadata["encryptedhash"]?.string == Encoding.base64URL(Hash.sha256(sealed)))
    #expect(metadata["encryptedhash"]?.string?.count == 43)
    let plain = try await keys.decrypt(sealed, refId: PacketSamples.refId)
    let signer = try RSAPrivateKey(pem: VectorKeys.otherKey)
    #expect(try metadata["signature"]?.string == Encoding.base64URL(signer.sign(plain, .sha256)))
  }

  @Test
  func `Sub-packet id has MOSIP's files, and its hashes are over documents, then ID, and over the audits`() throws {
    let files = try entries(.id, PacketSamples.draft())
    #expect(
      Set(files.keys) == [
        "proofOfAddress.pdf", "proofOfIdentity.pdf", "ID.json", "packet_data_hash.txt", "audit.json",
        "packet_operations_hash.txt", "packet_meta_info.json",
      ])
    let all = hash(files["proofOfAddress.pdf"]!, files["proofOfIdentity.pdf"]!, files["ID.json"]!)
    #expect(files["packet_data_hash.txt"] == all)
    #expect(files["packet_operations_hash.txt"] == hash(files["audit.json"]!))
    let meta = try identity(files, "packet_meta_info.json")
    #expect(meta["registrationId"]?.string == PacketSamples.rid)
    #expect(meta["creationDate"]?.string == "2024-02-29T23:59:59.123Z")
    let demographic = #"[{"label":"demographicSequence","value":["proofOfAddress","proofOfIdentity","ID"]}]"#
    #expect(meta["hashSequence1"]?.description == demographic)
    #expect(meta["hashSequence2"]?.description == #"[{"label":"otherFiles","value":["audit"]}]"#)
    #expect(meta["proofOfAddress"]?.string == "DOC002")
    #expect(meta["proofOfException"] == nil)
    #expect(meta["metaData"]?[0]?["value"]?.string == "10001")
    #expect(meta["documents"]?.description == "[]")
    let audits = try JSONValue.parse(files["audit.json"]!)
    #expect(audits[0]?["eventId"]?.string == "OPENCRVS_CREATE_PACKET")
  }

  @Test
  func `ID.json has texts as texts, JSON texts parsed, documents by reference, and no field that is null`() throws {
    let id = try identity(entries(.id, PacketSamples.draft()), "ID.json")
    #expect(id["IDSchemaVersion"]?.string == "0.1")
    #expect(id["phone"]?.string == "9898989898")
    #expect(id["fullName"]?[0]?["value"]?.string == "Zoë Rao")
    let reference = #"{"value":"proofOfIdentity","type":"DOC001","format":"pdf","refNumber":null}"#
    #expect(id["proofOfIdentity"]?.description == reference)
    #expect(id["proofOfAddress"]?["refNumber"]?.string == "7")
    for absent in ["email", "individualBiometrics", "notInTheSchema", "introducerRID", "proofOfException"] {
      #expect(id[absent] == nil)
    }
    var draft = try PacketSamples.draft()
    draft.fields["IDSchemaVersion"] = nil
    #expect(try identity(entries(.id, draft), "ID.json")["IDSchemaVersion"]?.double == 0.1)
  }

  @Test
  func `Sub-packets evidence and optional have neither audits nor operations, but always an identity`() throws {
    let evidence = try entries(.evidence, PacketSamples.draft())
    #expect(
      Set(evidence.keys) == ["proofOfException.jpg", "ID.json", "packet_data_hash.txt", "packet_meta_info.json"])
    #expect(evidence["packet_data_hash.txt"] == hash([1, 2, 3], evidence["ID.json"]!))
    #expect(try identity(evidence, "ID.json")["introducerRID"] != nil)
    #expect(try identity(evidence, "packet_meta_info.json")["hashSequence2"] == nil)
    let optional = try entries(.optional, PacketSamples.draft())
    #expect(Set(optional.keys) == ["ID.json", "packet_data_hash.txt", "packet_meta_info.json"])
    #expect(try identity(optional, "ID.json").keys == ["IDSchemaVersion"])
    #expect(try identity(optional, "packet_meta_info.json")["proofOfException"] == nil)
  }

  @Test
  func `Biometrics come first in the hash, and operators' biometrics before the audits`() throws {
    var draft = try PacketSamples.draft()
    draft.biometrics["individualBiometrics"] = Array("<BIR/>".utf8)
    draft.officerBiometrics = [1]
    draft.supervisorBiometrics = [2]
    let files = try entries(.id, draft)
    let meta = try identity(files, "packet_meta_info.json")
    let biometric = #"{"label":"biometricSequence","value":["individualBiometrics_bio_CBEFF"]}"#
    #expect(meta["hashSequence1"]?[0]?.description == biometric)
    #expect(meta["hashSequence1"]?[1]?["label"]?.string == "demographicSequence")
    let others = #"["officer_bio_cbeff","supervisor_bio_cbeff","audit"]"#
    #expect(meta["hashSequence2"]?[0]?["value"]?.description == others)
    #expect(meta["officer_bio_cbeffBiometricFileName"]?.string == "officer_bio_cbeff.xml")
    let all = hash(
      files["individualBiometrics_bio_CBEFF.xml"]!, files["proofOfAddress.pdf"]!, files["proofOfIdentity.pdf"]!,
      files["ID.json"]!)
    #expect(files["packet_data_hash.txt"] == all)
    #expect(files["packet_operations_hash.txt"] == hash([1], [2], files["audit.json"]!))
    let id = try identity(files, "ID.json")
    #expect(id["individualBiometrics"]?["value"]?.string == "individualBiometrics_bio_CBEFF")
    #expect(id["individualBiometrics"]?["version"]?.double == 1)
  }

  @Test
  func `The same draft gives the same plaintext, whatever the clock says`() throws {
    let draft = try PacketSamples.draft()
    let one = try ZipArchive.write(SubPacketFiles.make(.id, of: draft), at: draft.creationDate)
    #expect(try ZipArchive.write(SubPacketFiles.make(.id, of: draft), at: draft.creationDate) == one)
    // MS-DOS time and date of 2024-02-29 23:59:58 in the first local header.
    #expect(Array(one[10..<14]) == [0x7d, 0xbf, 0x5d, 0x58])
  }

  @Test
  func `An offline packet is named after its request, machine and time; its entries after the RID and the iteration`() async throws
  {
    var draft = try PacketSamples.draft()
    draft.mode = .offline
    #expect(draft.packetId == "\(PacketSamples.rid)-10001_10002-20240229235959")
    draft.additionalInfoRequestId = "REQUEST-1"
    draft.process = "CORRECTION"
    draft.iteration = 2
    let keys = try PacketSamples.keys()
    let written = try await PacketWriter(keys: keys).write(draft)
    #expect(written.fileName == "REQUEST-1-10001_10002-20240229235959.zip")
    let contents = try await PacketReader(keys: keys).read(written.content, refId: draft.refId)
    #expect(contents.rid == PacketSamples.rid)
    #expect(contents.processName == "CORRECTION-2")
    #expect(contents.process == "CORRECTION")
    #expect(contents.subPackets[.id]?.info.id == "REQUEST-1-10001_10002-20240229235959")
  }

  @Test
  func `A draft without audits, with an unfit name or an unknown category makes no packet`() async throws {
    let writer = PacketWriter(keys: try PacketSamples.keys())
    func refusal(_ change: (inout PacketDraft) throws -> Void) async throws -> PacketError.Code? {
      var draft = try PacketSamples.draft()
      try change(&draft)
      let changed = draft
      return await code { try await writer.write(changed) }
    }
    #expect(try await refusal { $0.audits = [] } == .badDraft)
    #expect(try await refusal { $0.rid = "../1" } == .badDraft)
    #expect(try await refusal { $0.source = "a/b" } == .badDraft)
    #expect(try await refusal { $0.process = "" } == .badDraft)
    #expect(try await refusal { $0.schemaVersion = "one" } == .badDraft)
    #expect(try await refusal { $0.refId = "10001_9" } == .unknownKey)
    #expect(try await refusal { $0.documents["proofOfIdentity"]?.format = "../x" } == .badDraft)
    #expect(
      try await refusal {
        $0.schema = try IdSchema(
          json: Array(#"{"properties":{"identity":{"properties":{"a":{"type":"string","fieldCategory":"odd"}}}}}"#.utf8)
        )
      } == .badSchema)
  }
}
