import TestSupport
import Glibc
import System
import Testing

@testable import Postgres

@Suite(.timeLimit(.minutes(30))) struct WaitingTests {
  @Test func `the server ends what a gone client began`() async throws {
    #expect(SharedCluster.settings.sessionScript.contains("set tcp_keepalives_idle = 15; set tcp_keepalives_interval = 5"))
    #expect(SharedCluster.settings.sessionScript.contains("set tcp_user_timeout = 30000"))
    try await SharedCluster.connected { connection throws in
      #expect(try connection.execute("show idle_in_transaction_session_timeout").only().text(0) == "1min")
      #expect(try connection.execute("show statement_timeout").only().text(0) == "1min")
    }
  }

  @Test func `what the caller sets for the session goes before ours`() async throws {
    var settings = SharedCluster.settings
    settings.options["options"] = "-c idle_in_transaction_session_timeout=1234 --statement_timeout=0 -c lock_timeout=77"
    for settings in [settings, settings.forgetful] {
      try await blocking { [settings] in
        let connection = try Connection(settings)
        defer { connection.close() }
        let shown = { (name: String) throws -> String in try connection.execute("show \(name)").only().text(0) }
        #expect(try shown("idle_in_transaction_session_timeout") == "1234ms")
        #expect(try shown("lock_timeout") == "77ms")
        let unhurried = try connection.unhurried { try shown("statement_timeout") }
        #expect(unhurried == "0")
        #expect(try shown("statement_timeout") == "0")
      }
    }
    try await blocking { [settings] in
      let connection = try Connection(settings.forgetful)
      defer { connection.close() }
      #expect(try connection.execute("show synchronous_commit").only().text(0) == "off")
    }
  }

  enum Way: CaseIterable { case execute, pipeline, script, send }

  @Test func `a server that is frozen is not waited for without end`() async throws {
    var settings = SharedCluster.settings
    settings.answerTimeoutSeconds = 1
    try await withThrowingTaskGroup(of: Void.self) { [settings] group in
      for way in Way.allCases {
        group.addTask {
          try await blocking {
            let connection = try Connection(settings)
            defer { connection.close() }
            let session = pid_t(try connection.execute("select pg_backend_pid()").only().int(0))
            kill(session, SIGSTOP)
            defer { kill(session, SIGCONT) }
            let error = failure {
              switch way {
              case .execute: _ = try connection.execute("select 1")
              case .pipeline: _ = try connection.pipeline([Statement("select 1"), Statement("select 2")])
              case .script: try connection.script("select 1; select 2")
              // More than the socket takes while nobody reads it.
              case .send: _ = try connection.execute("select length($1::bytea)", [.bytes(Array(repeating: 7, count: 8 << 20))])
              }
            }
            #expect(error?.code == .connectionFailed && error?.isRetriable == true)
            #expect(error?.message == "the database gave no answer for 6 s; the connection is given up")
            #expect(!connection.isHealthy)
            #expect(failure { try connection.execute("select 1") }?.code == .connectionFailed)
          }
        }
      }
      try await group.waitForAll()
    }
    let answer = try await SharedCluster.connected { try $0.execute("select 1").only().int(0) }
    #expect(answer == 1)
  }

  @Test func `a statement that takes too long is ended by the server unless it may take its time`() async throws {
    var settings = SharedCluster.settings
    settings.answerTimeoutSeconds = 1
    try await blocking { [settings] in
      let connection = try Connection(settings)
      defer { connection.close() }
      #expect(failure { try connection.execute("select pg_sleep(600)") }?.code == .cancelled)
      #expect(connection.isHealthy)
      try connection.unhurried { _ = try connection.execute("select pg_sleep(1.5)") }
      #expect(failure { try connection.execute("select pg_sleep(600)") }?.code == .cancelled)
      let unhurried = try Connection(settings.unhurried)
      defer { unhurried.close() }
      #expect(try unhurried.execute("show statement_timeout").only().text(0) == "0")
      #expect(unhurried.silenceLimit < 0)
    }
  }

  @Test func `a transaction that was idle for too long says so`() async throws {
    var settings = SharedCluster.settings
    settings.options["options"] = "-c idle_in_transaction_session_timeout=50"
    try await blocking { [settings] in
      let (connection, other) = (try Connection(settings), try Connection(SharedCluster.settings))
      defer {
        connection.close()
        other.close()
      }
      let session = try connection.execute("select pg_backend_pid()").only().int(0)
      try connection.script("begin")
      // The server's word is there before the next question.
      #expect(connection.waitForSocket(POLLIN, milliseconds: 60_000))
      try eventually(blocking: "the end of the session") {
        try other.execute("select 1 from pg_stat_activity where pid = $1", [.int(session)]).isEmpty
      }
      let error = failure { try connection.execute("select 1") }
      #expect(error?.code == .connectionFailed && error?.sqlState == "25P03")
      #expect(error?.message.contains("idle-in-transaction") == true)
      #expect(!connection.isHealthy)
    }
  }
}
