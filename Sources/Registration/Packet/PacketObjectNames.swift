/// Where the object store has a packet (docs/upstream/packet-and-crypto.md#110-names-in-the-object-store). Upstream stores by account as
/// bucket or by RID as bucket; the key behind the RID is the same.
public struct PacketObjectNames: Sendable, Hashable {
  /// The RID.
  public let rid: String
  /// E.g. `OPENCRVS`.
  public let source: String
  /// The process with its iteration, if it has one.
  public let processName: String

  /// Names of a packet.
  public init(rid: String, source: String, processName: String) {
    self.rid = rid
    self.source = source
    self.processName = processName
  }

  /// `{source}/{process}/{rid}_{sub-packet}`: the key inside the RID's container.
  public func key(_ name: SubPacketName) -> String { "\(source)/\(processName)/\(rid)_\(name.rawValue)" }

  /// The bucket and key in S3.
  /// - Parameters:
  ///   - account: the bucket when accounts are buckets (`object.store.s3.use.account.as.bucketname`), as MOSIP ships it; nil: the RID is.
  ///   - prefix: `object.store.s3.bucket-name-prefix`.
  public func object(_ name: SubPacketName, account: String?, prefix: String = "") -> (bucket: String, key: String) {
    Self.place(rid: rid, key: key(name), account: account, prefix: prefix)
  }

  /// The uploaded file in the landing zone, which has no `.zip` behind the packet id.
  public static func landingZone(
    rid: String, packetId: String, account: String? = "landing-zone", prefix: String = ""
  ) -> (bucket: String, key: String) { place(rid: rid, key: packetId, account: account, prefix: prefix) }

  /// The object that holds a tag's value, in UTF-8.
  public static func tag(
    _ tag: String, rid: String, account: String?, prefix: String = ""
  ) -> (bucket: String, key: String) { place(rid: rid, key: "Tags/\(tag)", account: account, prefix: prefix) }

  /// Whether a key inside the RID's container is a tag and therefore no part of a packet.
  public static func isTag(_ key: String) -> Bool { key.hasPrefix("Tags/") }

  private static func place(rid: String, key: String, account: String?, prefix: String) -> (bucket: String, key: String) {
    guard let account else { return ((prefix + rid).lowercased(), key) }
    return ((prefix + account).lowercased(), "\(rid)/\(key)")
  }
}
