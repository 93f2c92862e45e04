import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// Whom to notify, in the row of an announcement.
@Suite(.serialized, .timeLimit(.minutes(30))) struct AnnouncementTests {
  private static let clear = Array(#"{"name":"Asha Rao","phone":"9876543210","email":"asha@example.org","langCode":"eng"}"#.utf8)
  private static let record = SyncRecord(
    workflowInstanceId: "5d0f3c0e-4c7e-4c0e-9a54-0d7d1f1f8a11", rid: "10001100020000120240229235959", packetId: "p-1",
    process: "OPENCRVS_NEW", packetChecksum: "ABCD", packetSize: 1, supervisorStatus: "APPROVED", supervisorComment: nil,
    languageCode: "eng", additionalInfoRequestId: nil, referenceId: "10001_10002", source: nil)
  private static let count = "SELECT count(*)::text FROM regprc.registration_list WHERE additional_info IS NOT NULL"

  @Test func `whom to notify is in the tables encrypted only`() async throws {
    try await Bench.run { bench async throws in
      let keys = bench.platform.services.keys
      let sealed = try await keys.encryptPacket(Self.clear, referenceId: Self.record.referenceId)
      #expect(try await bench.register.sync(Self.record, additionalInfo: sealed) == Self.record)
      let row = try #require(
        try await bench.text("SELECT (l.*)::text || encode(additional_info, 'escape') FROM regprc.registration_list l"))
      for secret in ["Asha", "9876543210", "example.org"] { #expect(!row.contains(secret)) }
      let taken = try #require(try await bench.register.takeAdditionalInfo(workflowInstanceId: Self.record.workflowInstanceId))
      #expect(try await keys.decryptPacket(taken, referenceId: Self.record.referenceId) == Self.clear)
    }
  }

  @Test func `of many that take it one gets it, and a later announcement replaces it`() async throws {
    try await Bench.run { bench async throws in
      let (register, id) = (bench.register, Self.record.workflowInstanceId)
      #expect(try await register.takeAdditionalInfo(workflowInstanceId: id) == nil)
      for round in 1...5 {
        for last: UInt8 in [1, UInt8(round)] { _ = try await register.sync(Self.record, additionalInfo: [0, last]) }
        let taken = try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
          for _ in 1...6 { group.addTask { try await register.takeAdditionalInfo(workflowInstanceId: id) } }
          return try await group.reduce(into: [[UInt8]]()) { taken, bytes in if let bytes { taken.append(bytes) } }
        }
        #expect(taken == [[0, UInt8(round)]])
        #expect(try await bench.text(Self.count) == "0")
      }
      _ = try await register.sync(Self.record, additionalInfo: [1])
      _ = try await register.sync(Self.record)
      #expect(try await bench.text(Self.count) == "0")
      #expect(try await register.synced(workflowInstanceId: id) == Self.record)
    }
  }
}
