import HTTP
import JSON
import Operations
import OperationsAPI
import Postgres
import StageRuntime
import TestSupport
import Testing

@Suite("Operations over HTTP", .timeLimit(.minutes(30)))
struct FoundationTests {
  /// A database with the tables of engine and operations, and the endpoints on it. Whoever calls is let in.
  static func endpoints(_ pool: Pool) throws -> [Endpoint] {
    OperationsAPI.endpoints(
      OperatorAccess(
        read: .everybody(), operate: .everybody(), reveal: .everybody(), pool: pool,
        routes: { fatalError("no endpoint of these tests asks for routes") },
        wakeUp: {}))
  }

  @Test
  func `what was done is told by its subject, in order, and nothing of others`() async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations)
    let pool = Pool(database, size: 1)
    defer { pool.close() }
    try await pool.with { connection in
      let who = Operator("anna", reason: "the printer was out of paper")
      try connection.transaction {
        try AuditTrail.note("replay", of: "1", by: who, details: ["run": 2], on: connection)
        try AuditTrail.note("replay", of: "2", by: who, on: connection)
        try AuditTrail.note("release", of: "1", by: Operator("bert"), on: connection)
      }
      // What is rolled back was not done.
      struct Stop: Error {}
      #expect(throws: Stop.self) {
        try connection.transaction {
          try AuditTrail.note("drop", of: "1", by: who, on: connection)
          throw Stop()
        }
      }
    }
    let endpoint = try #require(try Self.endpoints(pool).first { $0.pathPattern == "/regproc/v1/operations/{subject}" })
    let answer = try await endpoint.respond(
      to: Request(method: "GET", path: "/regproc/v1/operations/1", parameters: ["subject": "1"]))
    #expect(answer.status == 200)
    let entries = try #require(JSONValue.parse(answer.body).array)
    #expect(entries.map { $0["operation"]?.string } == ["replay", "release"])
    #expect(entries[0]["author"]?.string == "anna")
    #expect(entries[0]["details"]?["run"]?.int == 2)
    #expect(entries[1]["reason"] == .null)
  }
}
