import Registration

/// New RIDs (docs/upstream/packet-and-crypto.md#42-rid).
public protocol RIDGenerator: Sendable {
  /// A RID that was never given before, for a center and a machine.
  func next(centerId: String, machineId: String) async throws -> RID
}
