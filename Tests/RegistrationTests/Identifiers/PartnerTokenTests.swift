import Cryptography
import System
import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct PartnerTokenTests {
  /// The four steps of one token, hashed by another implementation (Python's hashlib).
  private static let steps = [
    "353037353239313730387573": "97e749942476126f8b4db592d92754910e5ea8b331ada940336a9829176451c8",
    "97e749942476126f8b4db592d92754910e5ea8b331ada940336a9829176451c8":
      "1b972a4c97246377a895747d7735e7f1f42dddb46cea0838ba96a31bc31d3936",
    "70736f70656e637276732d706172746e65723142393732413443393732343633373741383935373437443737333545374631463432444444"
      + "4234364345413038333842413936413331424333314433393336":
      "049f1b816116c049e350956fd9f7b9b6d13a666524be905a0efdb945bb39c440",
    "049f1b816116c049e350956fd9f7b9b6d13a666524be905a0efdb945bb39c440":
      "4369a06c32fedd1e6523c8792abb6ea27741163dc4d81ee7e37943bbfaae0a01",
  ]

  @Test func `the token is made in the steps of MOSIP's generator`() throws {
    let token = try PartnerToken.make(
      uin: "5075291708", uinSalt: "us", partnerCode: "opencrvs-partner", partnerSalt: "ps"
    ) { input in
      let hash = try #require(Self.steps[Encoding.hex(input)])
      return try #require(Encoding.bytes(hex: hash))
    }
    #expect(token == "273393825211881392579205222189157953")
  }

  /// What key manager 1.2.0.1 and 1.3.0 gave when they ran.
  @Test(arguments: [
    (PartnerToken.Rule.hashedOnce, "278939171954774616643591060706367570"),
    (PartnerToken.Rule.hashedTwice, "368015191291307517711076150208934563"),
  ])
  func `the token equals the one of the key manager whose rule is set`(_ rule: PartnerToken.Rule, _ token: String) {
    let made = PartnerToken.make(
      uin: "5075291708", uinSalt: "salt1", partnerCode: "opencrvs-partner", partnerSalt: "salt2", rule: rule
    ) { Hash.sha256($0) }
    #expect(made == token)
  }

  @Test func `the rule is a setting, and the newest where nothing is set`() {
    #expect(IdentifierRules { _ in nil }.tokenRule == .hashedTwice)
    #expect(IdentifierRules { $0 == "uin.token-rule" ? "1.2.x" : nil }.tokenRule == .hashedOnce)
    let setting = IdentifierSetting.all.first { $0.name == "uin.token-rule" }
    #expect(setting?.defaultValue == "1.3.0" && setting?.isValue("1.2.x") == true && setting?.isValue("1.2") == false)
  }

  @Test func `large integers are written in decimal`() {
    #expect(PartnerToken.decimal([]) == Array("0".utf8))
    #expect(PartnerToken.decimal([0, 0, 255]) == Array("255".utf8))
    #expect(PartnerToken.decimal([1, 0, 0, 0, 0, 0, 0, 0, 0]) == Array("18446744073709551616".utf8))
  }
}
