import Cryptography
import JSON
import Registration
import System
import Testing

@Suite("Packets and other people's code", .serialized, .timeLimit(.minutes(30))) struct PacketInteropTests {
  private static let rid = "10001100020000120240229235959"
  private static let fields =
    #"{"IDSchemaVersion":"0.1","fullName":[{"language":"eng","value":"Zoë Rao"},{"language":"ara","value":"ليلى"}],"phone":"9898989898"}"#

  /// A packet of ours, made on the command line.
  private func create(_ document: [UInt8], _ more: String = "", in folder: String) -> (output: [UInt8], code: Int) {
    Tool.write(document, to: "\(folder)/document.pdf")
    Tool.write(Array(Self.fields.utf8), to: "\(folder)/fields.json")
    Tool.write(Array("<BIR/>".utf8), to: "\(folder)/bio.xml")
    return Tool.shell(
      "cd '\(folder)' && '\(Tool.regproc)' packet create --fields fields.json --process OPENCRVS_NEW --rid \(Self.rid) --cert b.crt "
        + "--key a.key --schema '\(Tool.root)/stages/packet-validator/id-schema.json' "
        + "--document proofOfIdentity=DOC001:document.pdf --biometrics individualBiometrics=bio.xml --out packet --json \(more)"
    )
  }

  @Test(arguments: Peer.present)
  func `A packet of another side is verified and opened on the command line`(peer: Peer) async throws {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", in: folder)
      let document = SecureRandom.bytes(300_000)
      let made = peer("write-packet a.key b.crt", document, in: folder)
      #expect(made.code == 0)
      Tool.write(made.output, to: "\(folder)/packet")
      let regproc = "cd '\(folder)' && '\(Tool.regproc)' packet"
      let verified = Tool.shell("\(regproc) verify packet --key b.key --signer a.crt --cert b.crt --json")
      #expect(verified.code == 0)
      let lines = String(decoding: verified.output, as: UTF8.self).split(separator: "\n")
      #expect(lines.count > 30)
      for line in lines { #expect(try JSONValue.parse(String(line))["result"]?.string == "ok") }
      #expect(Tool.shell("\(regproc) open packet --key b.key --signer a.crt --out out").code == 0)
      #expect(Tool.read("\(folder)/out/id/proofOfIdentity.pdf") == document)
      // The reader of the pipeline, which has all in memory, agrees.
      let keys = try LocalPacketKeys(
        certificate: Certificate(bytes: Tool.read("\(folder)/b.crt")),
        decryptionKey: RSAPrivateKey(pem: Tool.read("\(folder)/b.key")),
        signingKey: RSAPrivateKey(pem: Tool.read("\(folder)/a.key")))
      let contents = try await PacketReader(keys: keys).read(made.output, refId: "10001_10002")
      #expect(contents.verify(schema: nil, mandatory: []).isEmpty)
      #expect(contents.value("fullName")?[1]?["value"]?.string == "ليلى")
    }
  }

  @Test(arguments: Peer.present)
  func `A packet of ours is read by another side, file for file`(peer: Peer) async throws {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", bits: 3072, in: folder)
      for size in [0, 10, 300_000] {
        let document = [UInt8](repeating: 7, count: size)
        #expect(create(document, in: folder).code == 0)
        let listed = peer("read-packet b.key a.crt", Tool.read("\(folder)/packet"), in: folder)
        #expect(listed.code == 0)
        let lines = Set(String(decoding: listed.output, as: UTF8.self).split(separator: "\n").map(String.init))
        #expect(lines.contains("id/proofOfIdentity.pdf \(Encoding.upperHex(Hash.sha256(document)))"))
        #expect(
          lines.contains(
            "id/individualBiometrics_bio_CBEFF.xml \(Encoding.upperHex(Hash.sha256(Array("<BIR/>".utf8))))"))
        let inspected = Tool.shell(
          "cd '\(folder)' && '\(Tool.regproc)' packet inspect packet --key b.key --signer a.crt --json")
        let tree = try JSONValue.parse(inspected.output)
        var seen: Set<String> = []
        for part in tree["subPackets"]?.array ?? [] {
          for file in part["files"]?.array ?? [] {
            seen.insert("\(part["name"]?.string ?? "")/\(file["name"]?.string ?? "") \(file["sha256"]?.string ?? "")")
          }
        }
        #expect(seen == lines)
      }
    }
  }

  @Test
  func `Values are shown only when asked for; a packet of another signer is not opened and leaves nothing`() async throws {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", in: folder)
      #expect(create([1, 2, 3], in: folder).code == 0)
      let regproc = "cd '\(folder)' && '\(Tool.regproc)' packet"
      for form in ["", "--json"] {
        let closed = Tool.shell("\(regproc) inspect packet --key b.key --signer a.crt \(form)")
        #expect(closed.code == 0)
        let text = String(decoding: closed.output, as: UTF8.self)
        #expect(text.contains("fullName") && !text.contains("Rao") && !text.contains("9898989898"))
        let open = Tool.shell("\(regproc) inspect packet --key b.key --signer a.crt --reveal \(form)")
        #expect(String(decoding: open.output, as: UTF8.self).contains("9898989898"))
      }
      let forged = Tool.shell("\(regproc) open packet --key b.key --signer b.crt --out out --reveal 2>&1")
      #expect(forged.code == 1 && String(decoding: forged.output, as: UTF8.self).contains("signature"))
      #expect(Tool.shell("ls '\(folder)' | grep -c ^out").output == Array("0\n".utf8))
      let verified = Tool.shell("\(regproc) verify packet --key b.key --signer b.crt")
      #expect(verified.code == 1 && String(decoding: verified.output, as: UTF8.self).contains("failed"))
      let foreign = Tool.shell("\(regproc) verify packet --key a.key --signer a.crt")
      #expect(foreign.code == 1 && String(decoding: foreign.output, as: UTF8.self).contains("decryptionFailed"))
      #expect(Tool.shell("\(regproc) verify packet --key b.key 2>/dev/null").code == 2)
    }
  }

  @Test
  func `A packet goes from one command to the next through a pipe`() async throws {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", in: folder)
      Tool.write(SecureRandom.bytes(6 << 20), to: "\(folder)/document.pdf")
      Tool.write(Array(Self.fields.utf8), to: "\(folder)/fields.json")
      let make =
        "cd '\(folder)' && '\(Tool.regproc)' packet create --fields fields.json --process OPENCRVS_NEW --cert b.crt --key a.key "
        + "--schema '\(Tool.root)/stages/packet-validator/id-schema.json' --document proofOfIdentity=DOC001:document.pdf --out - 2>about"
      let verified = Tool.shell("\(make) | '\(Tool.regproc)' packet verify - --key b.key --signer a.crt")
      #expect(verified.code == 0)
      #expect(String(decoding: Tool.read("\(folder)/about"), as: UTF8.self).contains("packetHashValue"))
      let opened = Tool.shell("\(make) | '\(Tool.regproc)' packet open - --key b.key --signer a.crt --out out")
      #expect(opened.code == 0)
      #expect(Tool.shell("cmp '\(folder)/document.pdf' '\(folder)/out/id/proofOfIdentity.pdf'").code == 0)
      #expect(Tool.shell("ls '\(folder)' | grep -c zip").output == Array("0\n".utf8))
      let nothing = Tool.shell("\(make) --rid 1 | '\(Tool.regproc)' packet verify - --key b.key --signer a.crt 2>/dev/null")
      #expect(nothing.code == 1)
    }
  }

  @Test
  func `Offline packets and answers to requests have their names`() async throws {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", in: folder)
      let made = create(
        [1], "--offline --iteration 2 --additional-info \(Self.rid)-CORRECTION-2 --time 2024-03-01T10:00:00Z",
        in: folder)
      #expect(
        try JSONValue.parse(made.output)["packetId"]?.string == "\(Self.rid)-CORRECTION-2-10001_10002-20240301100000")
      #expect(try JSONValue.parse(made.output)["process"]?.string == "OPENCRVS_NEW-2")
      #expect(
        Tool.shell("cd '\(folder)' && '\(Tool.regproc)' packet verify packet --key b.key --signer a.crt").code == 0)
    }
  }

  @Test(.enabled(if: Tool.has("python3")))
  func `A packet of 50 MB is made, verified, inspected and opened in less than 80 MB of memory`() async throws {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", in: folder)
      Tool.write(
        Array(
          """
          import resource, subprocess, sys
          code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
          print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
          """.utf8), to: "\(folder)/peak.py")
      #expect(create(SecureRandom.bytes(50_000_000), in: folder).code == 0)
      let schema = "--schema '\(Tool.root)/stages/packet-validator/id-schema.json'"
      for words in [
        "create --fields fields.json --process OPENCRVS_NEW --cert b.crt --key a.key --out again \(schema) "
          + "--document proofOfIdentity=DOC001:document.pdf",
        "verify packet --key b.key --signer a.crt", "inspect packet --key b.key --signer a.crt",
        "open packet --key b.key --signer a.crt --out out",
      ] {
        let run = Tool.shell("cd '\(folder)' && python3 peak.py '\(Tool.regproc)' packet \(words)")
        let numbers = String(decoding: run.output, as: UTF8.self).split(whereSeparator: \.isWhitespace).compactMap {
          Int($0)
        }
        #expect(numbers.count == 2 && numbers[0] == 0, "\(words)")
        #expect(numbers.last ?? .max < 80_000, "\(words): kilobytes")
      }
      #expect(Tool.shell("cmp '\(folder)/document.pdf' '\(folder)/out/id/proofOfIdentity.pdf'").code == 0)
    }
  }

  @Test(arguments: ["--rid 123", "--ref-id ../x", "--audits fields.json"])
  func `What cannot be a packet is an error that leaves no file`(words: String) async throws {
    try await Tool.withFolder { folder in
      try Keys.make("a", in: folder)
      try Keys.make("b", in: folder)
      Tool.write(Array(Self.fields.utf8), to: "\(folder)/fields.json")
      let base = words.hasPrefix("--rid") ? "" : "--rid \(Self.rid)"
      let made = Tool.shell(
        "cd '\(folder)' && '\(Tool.regproc)' packet create --fields fields.json --process OPENCRVS_NEW --cert b.crt --key a.key --out packet "
          + "--schema '\(Tool.root)/stages/packet-validator/id-schema.json' \(base) \(words) 2>/dev/null")
      #expect(made.code == 1 && made.output.isEmpty)
      #expect(Tool.shell("ls '\(folder)' | grep -c ^packet").output == Array("0\n".utf8))
    }
  }
}
