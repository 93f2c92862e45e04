import Cryptography
import StageKit
import System
import Testing

@testable import EmbeddedPlatform

@Suite(.timeLimit(.minutes(30))) struct SealerTests {
  static let place = SealedColumn.identityFields.row([1, 2, 3])

  /// A value as an earlier version sealed it.
  static func before(_ plaintext: [UInt8], _ world: World, nonce: [UInt8]? = nil) throws -> [UInt8] {
    let nonce = nonce ?? SecureRandom.bytes(12)
    return nonce + (try AESGCM.seal(plaintext, key: try world.keys.secret("platform-seal"), nonce: nonce))
  }

  @Test func `what is sealed opens again and no two seals are alike`() async throws {
    try await World.run { world async throws in
      let one = Array("one".utf8)
      let (a, b) = (try world.sealer.seal(one, in: Self.place), try world.sealer.seal(one, in: Self.place))
      #expect(a != b)
      #expect(try world.sealer.open(a, in: Self.place) == one && world.sealer.open(b, in: Self.place) == one)
      let again = try Sealer(KeyFolder(folder: world.folder + "/keys"))
      #expect(try again.open(a, in: Self.place) == one && again.hash("x") == world.sealer.hash("x"))
    }
  }

  @Test func `any flipped bit and any cut is noticed`() async throws {
    try await World.run { world async throws in
      let sealed = try world.sealer.seal(Array("a value".utf8), in: Self.place)
      for at in sealed.indices {
        var broken = sealed
        broken[at] ^= 1
        #expect(throws: (any Error).self) { try world.sealer.open(broken, in: Self.place) }
      }
      for length in 0..<sealed.count {
        #expect(throws: (any Error).self) { try world.sealer.open(Array(sealed.prefix(length)), in: Self.place) }
        #expect(throws: (any Error).self) { try world.sealer.open(Array(sealed.suffix(length)), in: Self.place) }
      }
    }
  }

  @Test func `a value that was moved to another row column or table does not open`() async throws {
    try await World.run { world async throws in
      // Rows with keys of one text, and keys of two parts that read alike when they are put together.
      let places = SealedColumn.all.flatMap { column in
        column.key.count == 1
          ? [column.row("a"), column.row("b")] : [column.row("a|b", "c"), column.row("a", "b|c"), column.row("ab", "c")]
      }
      for place in places {
        let sealed = try world.sealer.seal([7], in: place)
        #expect(places.filter { (try? world.sealer.open(sealed, in: $0)) != nil } == [place])
        #expect(await code { try world.sealer.open(sealed, in: SealedColumn.uin.row("elsewhere")) } == "RPR-KEY-007")
      }
    }
  }

  @Test func `a value of before opens whatever its first bytes are`() async throws {
    try await World.run { world async throws in
      for start in [[], Sealer.header(1), Sealer.header(7), [Sealer.header(1)[0]]] {
        let nonce = start + SecureRandom.bytes(12 - start.count)
        #expect(try world.sealer.open(try Self.before([1, 2], world, nonce: nonce), in: Self.place) == [1, 2])
      }
    }
  }

  @Test func `a key that was made elsewhere is found in the folder and else named`() async throws {
    try await World.run { world async throws in
      let other = try KeyFolder(folder: world.folder + "/keys")
      #expect(await code { try world.sealer.seal([1], in: Self.place, with: 2) } == "RPR-KEY-006")
      _ = try other.secret("platform-seal-2")
      let sealed = try Sealer(other).seal([1], in: Self.place, with: 2)
      #expect(try world.sealer.open(sealed, in: Self.place) == [1])
      let unknown = Sealer.header(9) + sealed.dropFirst(Sealer.headerSize)
      #expect(await code { try world.sealer.open(unknown, in: Self.place) } == "RPR-KEY-006")
    }
  }

  @Test func `every column of bytes is sealed or declared as something else`() async throws {
    try await World.run { world async throws in
      let (columns, keys) = try await world.pool.with { connection in
        let columns = try connection.execute(
          "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'platform' AND data_type = 'bytea'"
        ).map { try $0.text(0) }
        let keys = try connection.execute(
          """
          SELECT c.relname, string_agg(a.attname || CASE WHEN a.atttypid = 'bytea'::regtype THEN ' bytes' ELSE '' END, ',' ORDER BY k.place)
          FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
          WHERE i.indisprimary AND n.nspname = 'platform' GROUP BY 1
          """
        ).map { (try $0.text(0), try $0.text(1)) }
        return (columns, Dictionary(uniqueKeysWithValues: keys))
      }
      #expect(Set(columns) == Set(SealedColumn.all.map { "\($0.table).\($0.name)" } + SealedColumn.others.keys))
      for column in SealedColumn.all {
        #expect(keys[column.table] == column.key.map { $0.name + ($0.isBytes ? " bytes" : "") }.joined(separator: ","))
      }
    }
  }
}
