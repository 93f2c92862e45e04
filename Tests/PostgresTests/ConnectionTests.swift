import TestSupport
import Glibc
import System
import Testing

@testable import Postgres

@Suite(.timeLimit(.minutes(30))) struct ConnectionTests {
  @Test func `parameters arrive unchanged`() async throws {
    let texts: [String] = [
      "", "'; drop table x; --", "a\"b\\c", "नमस्ते 👩‍👩‍👧 é", "{NULL,\"}", "NULL", "null", " lead and trail ",
      "line\nbreak\ttab", "$1",
      "\u{1}",
    ]
    let moment = try #require(Instant(iso: "2024-02-29T10:15:07.123Z"))
    try await SharedCluster.connected { connection in
      for text in texts {
        #expect(try connection.execute("select $1::text", [.text(text)]).only().text(0) == text)
      }
      let elements: [String?] = texts + [nil]
      #expect(
        try connection.execute("select $1::text[] as a", [.textArray(elements)]).only().textArray("a") == elements)
      #expect(
        try connection.execute("select t from unnest($1::text[]) t", [.textArray(elements)]).map {
          try $0.textOrNull("t")
        } == elements)

      let bytes = (0...255).map { UInt8($0) }
      let row = try connection.execute(
        """
        select $1::bigint as i, $2::double precision as d, $3::boolean as b, $4::bytea as raw, $5::timestamptz as tz,
          $6::timestamp as ts, $7::jsonb->>'k' as j, $8::text as n, $9::int as small
        """,
        [
          .int(.min), .double(-1.5e-300), true, .bytes(bytes), .timestamp(moment), .timestamp(moment),
          .json(#"{"k":"é\"'"}"#), nil, 7,
        ]
      ).only()
      #expect(try row.int("i") == .min)
      #expect(try row.double("d") == -1.5e-300)
      #expect(try row.bool("b"))
      #expect(try row.bytes("raw") == bytes)
      #expect(try row.instant("tz") == moment)
      #expect(try row.instant("ts") == moment)
      #expect(try row.text("j") == "é\"'")
      #expect(try row.isNull("n"))
      #expect(try row.textOrNull("n") == nil)
      #expect(try row.int("small") == 7)
    }
  }

  @Test func `arrays of every kind arrive with their nulls`() async throws {
    try await SharedCluster.connected { connection in
      let moment = Instant(milliseconds: -3_182_112_000_001)
      let blobs: [[UInt8]?] = [[], nil, [0, 1, 0x5c, 0x22, 255]]
      let rows = try connection.execute(
        """
        select * from unnest($1::bigint[], $2::bytea[], $3::timestamptz[], $4::boolean[], $5::float8[])
          with ordinality as t(i, b, m, f, d, n) order by n
        """,
        [
          .intArray([1, nil, -3]), .bytesArray(blobs), .timestampArray([moment, nil, moment]),
          .boolArray([true, nil, false]), .doubleArray([0.1, nil, .infinity]),
        ])
      #expect(try rows.map { try $0.intOrNull("i") } == [1, nil, -3])
      #expect(try rows.map { try $0.bytesOrNull("b") } == blobs)
      #expect(try rows.map { try $0.instantOrNull("m") } == [moment, nil, moment])
      #expect(try rows.map { try $0.boolOrNull("f") } == [true, nil, false])
      #expect(try rows.map { try $0.doubleOrNull("d") } == [0.1, nil, .infinity])
      let empty = try connection.execute(
        "select cardinality($1::text[]) + cardinality($2::bytea[]) + cardinality($3::int[])",
        [.textArray([]), .bytesArray([]), .intArray([])])
      #expect(try empty.only().int(0) == 0)
    }
  }

  @Test func `a text with a zero character is refused instead of cut`() async throws {
    try await SharedCluster.connected { (connection) throws in
      for value in [Value.text("a\0b"), .textArray(["a\0b"]), .textArray(["\"a\0b"]), .json("\"\0\"")] {
        #expect(failure { try connection.execute("select $1::text", [value]) }?.code == .typeMismatch)
      }
      #expect(
        failure { try connection.pipeline([Statement("select 1"), Statement("select $1", ["\0"])]) }?.statementIndex
          == 1)
      #expect(try connection.execute("select 1").only().int(0) == 1)
    }
  }

  @Test func `getters say what is wrong with a column`() async throws {
    try await SharedCluster.connected { connection in
      let row = try connection.execute(
        "select 'secret'::text as t, null::int as n, 'infinity'::timestamptz as m, 5 as i"
      ).only()
      #expect(failure { try row.int("t") }?.message == "column t does not hold an integer")
      #expect(failure { try row.int("n") }?.message == "column n is null")
      #expect(failure { try row.text("absent") }?.message == "the result has no column absent")
      #expect(failure { try row.text(4) }?.code == .misuse)
      #expect(failure { try row.instant("m") }?.code == .typeMismatch)
      #expect(failure { try row.bool("i") }?.code == .typeMismatch)
      #expect(failure { try row.bytes("t") }?.code == .typeMismatch)
      #expect(failure { try connection.execute("select 1 where false").only() }?.code == .misuse)
    }
  }

  @Test func `constraints are named and no value is in any error`() async throws {
    try await SharedCluster.connected { connection in
      try connection.script(
        """
        create table person (id text constraint person_key primary key, age int not null constraint adult check (age > 17),
          parent text constraint parent_known references person, color text)
        """)
      let insert = "insert into person (id, age, parent) values ($1, $2, $3)"
      let secret = "5718493021"
      #expect(try connection.execute(insert, [.text(secret), 20, nil]).affected == 1)
      let cases: [(PostgresError.Code, String, [Value])] = [
        (.uniqueViolation(constraint: "person_key"), insert, [.text(secret), 20, nil]),
        (.notNullViolation(column: "age"), insert, [.text(secret + "1"), nil, nil]),
        (.checkViolation(constraint: "adult"), insert, [.text(secret + "1"), 3, nil]),
        (.foreignKeyViolation(constraint: "parent_known"), insert, ["x", 20, .text(secret + "1")]),
        (.typeMismatch, "select $1::int", [.text(secret + "a")]),
        (.typeMismatch, "select $1::int", [.text(secret)]),
        (.typeMismatch, "select $1::timestamptz", [.text(secret)]),
        (.typeMismatch, "select $1::int[]", [.text("{" + secret)]),
        (.typeMismatch, "select $1::json", [.json("{\"\(secret)")]),
        (.typeMismatch, "select $1::uuid", [.text(secret)]),
        (.typeMismatch, "select $1::text::inet", [.text("\"" + secret + ": \"x")]),
        (.undefinedTable, "select * from nowhere where x = $1", [.text(secret)]),
        (.undefinedColumn, "select nothing from person where id = $1", [.text(secret)]),
        (.syntax, "selec $1", [.text(secret)]),
        (.other, "select 1 / ($1::int - 7)", [7]),
      ]
      for (code, sql, parameters) in cases {
        let error = try #require(failure { try connection.execute(sql, parameters) }, "\(sql)")
        if sql.hasPrefix("select 1 /") {
          #expect(error.sqlState == "22012")
        } else {
          #expect(error.code == code, "\(sql): \(error)")
        }
        #expect(!"\(error) \(String(reflecting: error))".contains(secret), "\(error)")
        #expect(!error.isRetriable)
        #expect(
          failure { try connection.pipeline([Statement(sql, parameters)]) }.map { !"\($0)".contains(secret) } == true)
      }
    }
  }

  @Test func `a transaction is all or nothing`() async throws {
    struct Mine: Error {}
    try await SharedCluster.connected { connection in
      try connection.script("create table account (n int)")
      try connection.transaction { _ = try connection.execute("insert into account values ($1)", [1]) }
      #expect(throws: Mine.self) {
        try connection.transaction {
          _ = try connection.execute("insert into account values ($1)", [2])
          throw Mine()
        }
      }
      // An error that the closure hides must not end in a commit that is none.
      #expect(throws: PostgresError.self) {
        try connection.transaction {
          _ = try connection.execute("insert into account values ($1)", [3])
          _ = try? connection.execute("select 1/0")
        }
      }
      #expect(failure { try connection.transaction { try connection.transaction {} } }?.code == .misuse)
      #expect(try connection.execute("select array_agg(n) from account").only().textArray(0) == ["1"])
      #expect(!connection.isInTransaction)
    }
  }

  @Test func `prepared statements are bounded and survive altered tables`() async throws {
    try await SharedCluster.connected { connection in
      for round in 0..<2 {
        for n in 0..<(Connection.preparedLimit + 50) {
          #expect(try connection.execute("select \(n) + $1", [.int(round)]).only().int(0) == n + round)
        }
      }
      let held = try connection.execute("select count(*) from pg_prepared_statements").only().int(0)
      #expect(held <= Connection.preparedLimit)

      try connection.script("create table growing (a int); insert into growing values (1)")
      #expect(try connection.execute("select * from growing").columns == ["a"])
      try connection.script("alter table growing add b int")
      #expect(try connection.execute("select * from growing").columns == ["a", "b"])
      try connection.script("discard all")
      #expect(try connection.execute("select * from growing").columns == ["a", "b"])
    }
  }

  @Test func `a pipeline of thousands keeps its order`() async throws {
    try await SharedCluster.connected { connection in
      try connection.script("create table series (n int primary key, pad text)")
      let pad = String(repeating: "é", count: 5000)
      let results = try connection.pipeline(
        (0..<2000).map { Statement("insert into series values ($1, $2) returning n, pad", [.int($0), .text(pad)]) })
      #expect(try results.map { try $0.only().int("n") } == Array(0..<2000))
      #expect(try connection.execute("select count(*) from series").only().int(0) == 2000)
      // More different statements than are kept prepared.
      let many = try connection.pipeline((0..<600).map { Statement("select \($0) + $1", [1]) })
      #expect(try many.map { try $0.only().int(0) } == (0..<600).map { $0 + 1 })
      let rest = try connection.pipeline((0..<600).map { Statement("select \($0) + $1", [2]) })
      #expect(try rest.map { try $0.only().int(0) } == (0..<600).map { $0 + 2 })
      #expect(try connection.pipeline([]).isEmpty)
    }
  }

  @Test func `an error in a pipeline undoes it and the connection goes on`() async throws {
    try await SharedCluster.connected { connection in
      try connection.script("create table once (n int constraint once_key primary key)")
      var statements = (0..<2000).map { Statement("insert into once values ($1)", [.int($0)]) }
      statements[1234] = Statement("insert into once values ($1)", [7])
      let error = try #require(failure { try connection.pipeline(statements) })
      #expect(error.code == .uniqueViolation(constraint: "once_key"))
      #expect(error.statementIndex == 1234)
      #expect(error.sqlState == "23505")
      #expect(connection.isHealthy)
      #expect(try connection.execute("select count(*) from once").only().int(0) == 0)
      statements[1234] = Statement("selec 1")
      #expect(failure { try connection.pipeline(statements) }?.statementIndex == 1234)
      statements[1234] = Statement("insert into once values ($1)", [1234])
      #expect(try connection.pipeline(statements).count == 2000)
      #expect(
        try connection.transaction { try connection.pipeline([Statement("delete from once")]) }[0].affected == 2000)
    }
  }

  @Test func `a deferred constraint that fails at the pipelines end is thrown`() async throws {
    try await SharedCluster.connected { connection in
      try connection.script("create table late (n int constraint late_key unique deferrable initially deferred)")
      let twice = [Statement("insert into late values ($1)", [1]), Statement("insert into late values ($1)", [1])]
      #expect(failure { try connection.pipeline(twice) }?.code == .uniqueViolation(constraint: "late_key"))
      #expect(connection.isHealthy)
      #expect(try connection.execute("select count(*) from late").only().int(0) == 0)
    }
  }

  @Test func `a statement can be cancelled from another thread`() async throws {
    try await SharedCluster.connected { connection in
      let interrupter = connection.interrupter
      let done = Semaphore()
      let sleeper = try connection.execute("select pg_backend_pid()").only().int(0)
      OwnedThread.start("canceller") {
        if let other = try? Connection(SharedCluster.settings) {
          waitUntilActive(sleeper, other)
          interrupter.cancel()
        }
        done.signal()
      }
      #expect(failure { try connection.execute("select pg_sleep(600)") }?.code == .cancelled)
      done.waitInTime()
      #expect(try connection.execute("select 1").only().int(0) == 1)
    }
  }

  @Test(arguments: [false, true]) func `a thread that waits can be ended`(piped: Bool) async throws {
    try await SharedCluster.connected { connection in
      let interrupter = connection.interrupter
      let done = Semaphore()
      let sleeper = try connection.execute("select pg_backend_pid()").only().int(0)
      OwnedThread.start("ender") {
        if let other = try? Connection(SharedCluster.settings) { waitUntilActive(sleeper, other) }
        interrupter.end()
        done.signal()
      }
      let error = failure {
        if piped {
          _ = try connection.pipeline([Statement("select 1"), Statement("select pg_sleep(600)")])
        } else {
          _ = try connection.execute("select pg_sleep(600)")
        }
      }
      done.waitInTime()
      #expect(error?.code == .connectionFailed)
      #expect(!connection.isHealthy)
      #expect(failure { try connection.execute("select 1") }?.code == .connectionFailed)
    }
  }

  @Test func `ending a lost connection touches no other descriptor`() async throws {
    try await SharedCluster.connected { connection in
      #expect(
        failure { try connection.execute("select pg_terminate_backend(pg_backend_pid())") }?.code == .connectionFailed)
      #expect(!connection.isHealthy)
      // libpq has closed its socket, so that new connections get its number.
      let others = try (0..<8).map { _ in try Connection(SharedCluster.settings) }
      connection.interrupter.end()
      for other in others { #expect(try other.execute("select 1").only().int(0) == 1) }
      connection.close()
      connection.interrupter.end()
      for other in others { #expect(try other.execute("select 1").only().int(0) == 1) }
    }
  }

  @Test func `a notification wakes a listener`() async throws {
    try await SharedCluster.connected { connection in
      try connection.listen("work")
      #expect(try connection.notifications(timeoutMilliseconds: 0).isEmpty)
      OwnedThread.start("notifier") {
        if let other = try? Connection(SharedCluster.settings) { try? other.notify("work", "é'; x") }
      }
      var heard: [Notification] = []
      try eventually(blocking: "the notification") {
        heard = try connection.notifications(timeoutMilliseconds: 60_000)
        return !heard.isEmpty
      }
      #expect(heard == [Notification(channel: "work", payload: "é'; x")])
      #expect(failure { try connection.listen("x; drop table y") }?.code == .misuse)
      let interrupter = connection.interrupter
      OwnedThread.start("ender") { interrupter.end() }
      #expect(
        failure { try eventually(blocking: "the end") { try !connection.notifications(timeoutMilliseconds: 600_000).isEmpty } }?
          .code
          == .connectionFailed)
    }
  }

  @Test func `settings are read and never show the password`() throws {
    let uri = try PostgresSettings(
      "postgresql://me:hush%21@db.example:5433/registry?sslmode=require&connect_timeout=3&application_name=x")
    #expect(uri.host == "db.example" && uri.port == 5433 && uri.user == "me" && uri.database == "registry")
    #expect(uri.password == "hush!" && uri.options["sslmode"] == "require")
    #expect(uri.connectTimeoutSeconds == 3 && uri.applicationName == "x")
    #expect(uri.description == "database registry at db.example:5433 as me")
    let pairs = try PostgresSettings("host=/tmp/x user=me dbname=d password=hush!", password: "other-hush")
    #expect(pairs.password == "other-hush" && pairs.host == "/tmp/x")
    var dumped = ""
    dump(uri, to: &dumped)
    for text in ["\(uri)", String(reflecting: uri), dumped, "\(Optional(pairs) as Any)", "\([pairs])"] {
      #expect(!text.contains("hush"), "\(text)")
    }
    let bad = try #require(failure { try PostgresSettings("host=x hush-without-equals") })
    #expect(bad.code == .misuse && !"\(bad)".contains("hush"))
    #expect(failure { try PostgresSettings("postgresql://h:99999/d") }?.code == .misuse)
    let closed = PostgresSettings(host: "127.0.0.1", port: 1, user: "u", database: "d", password: "hush")
    let refused = try #require(failure { try Connection(closed) })
    #expect(refused.code == .connectionFailed && refused.isRetriable && !"\(refused)".contains("hush"))
  }
}

/// Waits until a session runs a statement that sleeps.
func waitUntilActive(_ process: Int, _ connection: Connection) {
  let sql = "select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'"
  do {
    try eventually(blocking: "the statement that sleeps") { try !connection.execute(sql, [.int(process)]).isEmpty }
  } catch { Issue.record("\(error)") }
}
