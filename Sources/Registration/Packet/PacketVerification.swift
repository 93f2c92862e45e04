import Cryptography
import JSON
import System

/// One check that a packet does not pass. It names check and place, never content.
public struct PacketFinding: Sendable, Hashable, CustomStringConvertible {
  /// What is checked.
  public enum Check: String, Sendable, Hashable, CaseIterable {
    /// The signature over the plaintext sub-packet is one of the sender's machine
    /// (docs/upstream/packet-and-crypto.md#17-sub-packet-metadata-and-signature).
    case signature
    /// `encryptedhash` is that of the encrypted sub-packet (docs/upstream/packet-and-crypto.md#17-sub-packet-metadata-and-signature).
    case encryptedHash = "encrypted-hash"
    /// The clear-text metadata say what the entry names and the sender's refId say.
    case metadata
    /// All three sub-packets are there (docs/upstream/packet-and-crypto.md#12-which-field-goes-to-which-sub-packet).
    case subPacket = "sub-packet"
    /// The meta information names this RID (docs/upstream/packet-and-crypto.md#15-packet_meta_infojson).
    case registrationId = "registration-id"
    /// packet_data_hash.txt, packet_operations_hash.txt are there; upstream passes a packet without them
    /// (docs/upstream/packet-and-crypto.md#16-hashes-inside-a-sub-packet).
    case hashFile = "hash-file"
    /// The meta information has the sequence that a hash is made over.
    case hashSequence = "hash-sequence"
    /// A file that a sequence lists is there and not empty.
    case listedFile = "listed-file"
    /// A file is in a sequence; else no hash would cover it. Ours.
    case unlistedFile = "unlisted-file"
    /// packet_data_hash.txt is the hash of the listed files.
    case dataHash = "data-hash"
    /// packet_operations_hash.txt is the hash of the listed files.
    case operationsHash = "operations-hash"
    /// The packet names the schema it is checked against (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces).
    case schemaVersion = "schema-version"
    /// The identity obeys the schema.
    case schema
  }
  /// The check.
  public let check: Check
  /// In which sub-packet; nil for the packet as a whole.
  public let subPacket: SubPacketName?
  /// Which file, field or key.
  public let subject: String?

  /// A finding of a check, about a sub-packet and something in it.
  public init(_ check: Check, _ subPacket: SubPacketName? = nil, _ subject: String? = nil) {
    self.check = check
    self.subPacket = subPacket
    self.subject = subject
  }

  /// E.g. `id: listed-file: proofOfIdentity`.
  public var description: String {
    [subPacket?.rawValue, check.rawValue, subject].compactMap { $0 }.joined(separator: ": ")
  }
}

extension PacketContents {
  /// Checks what is inside a packet: files and hashes (docs/upstream/packet-and-crypto.md#16-hashes-inside-a-sub-packet) of every
  /// sub-packet and, with a schema, the identity in sub-packet `id`. Signature, encrypted hash and metadata are what `PacketReader`
  /// checks.
  /// - Parameters:
  ///   - schema: the schema of the version that the packet names; nil checks no identity.
  ///   - mandatory: the mandatory-attributes list of the process (docs/upstream/packet-and-crypto.md#53-mandatory-fields-by-process).
  ///   - strictness: which of the schema's rules count.
  public func verify(
    schema: IdSchema?, mandatory: Set<String>, strictness: IdSchema.Strictness = .mosip
  ) -> [PacketFinding] {
    var findings: [PacketFinding] = []
    for name in SubPacketName.allCases {
      guard let part = subPackets[name] else {
        findings.append(PacketFinding(.subPacket, name))
        continue
      }
      findings += part.verifyFiles(rid: rid)
    }
    if schemaVersion.flatMap(Double.init) == nil { findings.append(PacketFinding(.schemaVersion, .id)) }
    if let schema, let id = subPackets[.id] {
      for violation in schema.violations(of: id.identity, mandatory: mandatory, strictness: strictness) {
        findings.append(PacketFinding(.schema, .id, violation.description))
      }
    }
    return findings
  }
}

extension SubPacket {
  /// Sequences, listed files and hashes.
  func verifyFiles(rid: String) -> [PacketFinding] {
    var findings: [PacketFinding] = []
    if metaInfo["registrationId"]?.string != rid { findings.append(PacketFinding(.registrationId, name)) }
    var listed: Set<String> = []
    check("hashSequence1", EntryName.dataHash, .dataHash, required: true, &listed, &findings)
    check("hashSequence2", EntryName.operationsHash, .operationsHash, required: name == .id, &listed, &findings)
    let unhashed = [EntryName.metaInfo, EntryName.dataHash, EntryName.operationsHash]
    for file in fileNames {
      let stem = EntryName.stem(file)
      if !listed.contains(stem.lowercased()), !unhashed.contains(stem) {
        findings.append(PacketFinding(.unlistedFile, name, stem))
      }
    }
    return findings
  }

  /// - Parameter required: whether the sub-packet must have this sequence and its hash.
  private func check(
    _ sequenceKey: String, _ hashFile: String, _ hashCheck: PacketFinding.Check, required: Bool,
    _ listed: inout Set<String>, _ findings: inout [PacketFinding]
  ) {
    let sequence = metaInfo[sequenceKey]
    let stored = file(hashFile)
    guard required || sequence != nil || stored != nil else { return }
    if stored == nil { findings.append(PacketFinding(.hashFile, name, hashFile)) }
    guard let groups = sequence?.array, !groups.isEmpty else {
      findings.append(PacketFinding(.hashSequence, name, sequenceKey))
      return
    }
    var hash = HashStream(.sha256)
    var isComplete = true
    for group in groups {
      for element in group["value"]?.array ?? [] {
        guard let stem = element.string else {
          findings.append(PacketFinding(.hashSequence, name, sequenceKey))
          isComplete = false
          continue
        }
        // Honest sequences name a file once; a large one named many times would keep a reader busy for days.
        guard listed.insert(stem.lowercased()).inserted else {
          findings.append(PacketFinding(.hashSequence, name, sequenceKey))
          return
        }
        var size = 0
        let isRead = try? read(stem) { bytes in
          size += bytes.count
          hash.update(bytes)
        }
        if isRead != true || size == 0 {
          findings.append(PacketFinding(.listedFile, name, stem))
          isComplete = false
        }
      }
    }
    let digest = Array(Encoding.upperHex(hash.finish()).utf8)
    if let stored, isComplete, !constantTimeEqual(stored, digest) { findings.append(PacketFinding(hashCheck, name)) }
  }
}
