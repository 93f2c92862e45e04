import StageTesting
import StageKit
import Stages
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct SecurezoneNotificationTests {
  private let other = "00000000-0000-4000-8000-000000000002"

  private func world(_ announcements: [SyncRecord], _ rows: [RegistrationRecord]) async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.announcements = announcements
      $0.rows = rows
    }
    return world
  }

  @Test func `a packet that is alone goes on and does so again`() async throws {
    let world = await world([Sample.announcement()], [Sample.row()])
    for _ in 1...2 {
      #expect(
        try await world.judge(SecurezoneNotification.self)
          == .passed("RPR-SEN-SUCCESS-001", "Notification received to securezone"))
    }
  }

  @Test func `a packet that another has overtaken is rejected`() async throws {
    let world = await world(
      [Sample.announcement(), Sample.announcement(packetId: "other", workflowInstanceId: other)],
      [Sample.row(), Sample.row(workflowInstanceId: other, createdAt: Sample.now.advanced(bySeconds: -1))])
    let verdict = try await world.judge(SecurezoneNotification.self)
    #expect(
      verdict.kind == .failed && verdict.statusCode == .rejected && verdict.subStatusCode == "RPR-SEN-SUCCESS-001")
  }

  @Test func `a packet that came first goes on beside a later one`() async throws {
    let world = await world(
      [Sample.announcement(), Sample.announcement(packetId: "other", workflowInstanceId: other)],
      [Sample.row(), Sample.row(workflowInstanceId: other, createdAt: Sample.now.advanced(bySeconds: 1))])
    #expect(try await world.judge(SecurezoneNotification.self).kind == .passed)
  }

  @Test func `of two that began together exactly one goes on`() async throws {
    let rows = [Sample.row(), Sample.row(workflowInstanceId: other)]
    let announcements = [Sample.announcement(), Sample.announcement(packetId: "other", workflowInstanceId: other)]
    let world = await world(announcements, rows)
    #expect(try await world.judge(SecurezoneNotification.self).kind == .failed)
  }

  @Test func `packets of other information requests are no duplicates`() async throws {
    let world = await world(
      [
        Sample.announcement(),
        Sample.announcement(packetId: "other", workflowInstanceId: other, additionalInfoRequestId: "request-1"),
      ], [Sample.row(), Sample.row(workflowInstanceId: other, createdAt: Sample.now.advanced(bySeconds: -1))])
    #expect(try await world.judge(SecurezoneNotification.self).kind == .passed)
  }

  @Test func `a message that the tables do not know ends in an error`() async throws {
    let unknown = await world([], [])
    #expect(try await unknown.judge(SecurezoneNotification.self).kind == .error)
    let foreign = await world([Sample.announcement()], [Sample.row(rid: "10001100020000120240229235959")])
    #expect(try await foreign.judge(SecurezoneNotification.self).kind == .error)
  }

  @Test func `a database out of reach is tried again`() async throws {
    let world = await world([Sample.announcement()], [Sample.row()])
    await world.fail("registration", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(SecurezoneNotification.self) }
  }
}
