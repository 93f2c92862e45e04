/// What the errors of MOSIP's registration status service (announcement) and packet receiver (upload) mean for a packet. Final is only what the
/// same announcement or the same bytes can never get past; what a setting, a key, a clock or a network can mend is tried again, and so is what
/// this table does not name. No HTTP status is final by itself: a gateway answers with them too.
struct PacketAnswer: Sendable {
  /// What follows from an error.
  enum Meaning: String, Sendable, CaseIterable {
    /// The packet is there: as good as a success.
    case taken
    /// The packet is announced again, and then uploaded again.
    case announceAgain = "announced again"
    /// The same again later may be taken.
    case later = "tried again"
    /// It never will be.
    case final
  }

  let code: String
  let meaning: Meaning
  /// Why it means that.
  let reason: String

  private init(_ code: String, _ meaning: Meaning, _ reason: String) {
    (self.code, self.meaning, self.reason) = (code, meaning, reason)
  }

  /// What a code means.
  static func meaning(of code: String) -> Meaning { all.first { $0.code == code }?.meaning ?? .later }

  /// All codes whose meaning is known, in the order of the docs (docs/upstream/packet-and-crypto.md#6-sync-and-upload).
  static let all: [PacketAnswer] = [
    PacketAnswer("RPR-RGS-003", .later, "the service's list of processes lacks ours: a setting"),
    PacketAnswer("RPR-RGS-004", .final, "the language code is always the same, and never taken"),
    PacketAnswer("RPR-RGS-006", .final, "the RID is always in the announcement; a service that does not see it never will"),
    PacketAnswer("RPR-RGS-007", .final, "the RID stays as it is: there is no such moment in it"),
    PacketAnswer("RPR-RGS-008", .final, "the RID stays as it is: it has other characters than the service takes"),
    PacketAnswer("RPR-RGS-009", .final, "the RID stays as it is: it has another length than the service takes"),
    PacketAnswer("RPR-RGS-013", .later, "it may speak of the moment of sending"),
    PacketAnswer("RPR-RGS-014", .later, "it may speak of the moment of sending, and a clock can be put right"),
    PacketAnswer("RPR-RGS-016", .later, "after decryption with a wrong key there is no JSON: a key can be put right"),
    PacketAnswer("RPR-RGS-017", .later, "after decryption with a wrong key there is other JSON: a key can be put right"),
    PacketAnswer("RPR-RGS-026", .final, "the supervisor's status is always the same, and never taken"),
    PacketAnswer("RPR-RGS-027", .final, "the hash is always in the announcement; a service that does not see it never will"),
    PacketAnswer("RPR-RGS-028", .later, "the service has not the key of this machine: a key can be put right"),
    PacketAnswer("RPR-PKR-001", .announceAgain, "the receiver does not know the announcement"),
    PacketAnswer("RPR-PKR-002", .final, "these bytes stay larger than the receiver takes"),
    PacketAnswer("RPR-PKR-003", .later, "the receiver's extension is a setting"),
    PacketAnswer("RPR-PKR-004", .final, "these bytes stay what the receiver finds wrong"),
    PacketAnswer("RPR-PKR-005", .taken, "the receiver has the packet already"),
    PacketAnswer("RPR-PKR-006", .later, "the file was lost on the way: it is in every request"),
    PacketAnswer("RPR-PKR-007", .later, "the receiver is in trouble"),
    PacketAnswer("RPR-PKR-008", .later, "the virus scanner does not answer"),
    PacketAnswer("RPR-PKR-009", .announceAgain, "bytes were changed on the way, or others were announced"),
    PacketAnswer("RPR-PKR-010", .final, "these bytes stay what the virus scanner takes for a virus"),
    PacketAnswer("RPR-PKR-011", .later, "a service that the receiver needs is away"),
    PacketAnswer("RPR-PKR-012", .later, "the receiver's database is away"),
    PacketAnswer("RPR-PKR-013", .announceAgain, "bytes were lost on the way, or others were announced"),
    PacketAnswer("RPR-PKR-014", .announceAgain, "bytes were changed on the way, or others were announced"),
    PacketAnswer("RPR-PKR-015", .later, "the receiver has not the key of this machine: a key can be put right"),
    PacketAnswer("RPR-PKR-016", .later, "the receiver's list of main processes lacks ours: a setting"),
  ]
}
