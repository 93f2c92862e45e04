import Testing

@testable import Platform

@Suite struct SealerTests {
  @Test func whatIsSealedOpensAgainAndNoTwoSealsAreAlike() async throws {
    try await World.run { world async throws in
      let (a, b) = (try world.sealer.seal(Array("one".utf8)), try world.sealer.seal(Array("one".utf8)))
      #expect(a != b)
      #expect(try world.sealer.open(a) == Array("one".utf8) && world.sealer.open(b) == Array("one".utf8))
      let again = try Sealer(KeyFolder(folder: world.folder + "/keys"))
      #expect(try again.open(a) == Array("one".utf8) && again.hash("x") == world.sealer.hash("x"))
    }
  }

  @Test func anyFlippedBitAndAnyCutIsNoticed() async throws {
    try await World.run { world async throws in
      let sealed = try world.sealer.seal(Array("a value".utf8))
      for at in sealed.indices {
        var broken = sealed
        broken[at] ^= 1
        #expect(throws: (any Error).self) { try world.sealer.open(broken) }
      }
      for length in 0..<sealed.count {
        #expect(throws: (any Error).self) { try world.sealer.open(Array(sealed.prefix(length))) }
      }
    }
  }
}
