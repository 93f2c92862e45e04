import JSON
import Registration
import System
import Testing

@Suite("Identifiers on the command line", .serialized, .timeLimit(.minutes(30))) struct IdCommandTests {
  private func run(_ words: String) -> (text: String, code: Int) {
    let (output, code) = Tool.shell("'\(Tool.regproc)' id \(words) 2>/dev/null")
    return (String(decoding: output, as: UTF8.self), code)
  }

  @Test(arguments: ["uin", "vid", "rid"])
  func `What is generated is valid by the same rules`(kind: String) throws {
    let made = run("generate \(kind) --count 200")
    #expect(made.code == 0)
    let values = made.text.split(separator: "\n")
    #expect(Set(values).count == 200)
    let checked = run("check \(kind) --json \(values.joined(separator: " "))")
    #expect(checked.code == 0)
    for (line, value) in zip(checked.text.split(separator: "\n"), values) {
      let object = try JSONValue.parse(String(line))
      #expect(object["valid"]?.bool == true && object["value"]?.string == String(value))
    }
    #expect(run("generate \(kind) --json").text.hasPrefix("{\"\(kind)\":\""))
  }

  @Test(arguments: [
    ("uin", "5075291709", "checksum", "KER-IDV-205"),
    ("uin", "9468145387", "conjugative-even-digits-limit", "KER-IDV-202"),
    ("uin", "4921963786", "restricted-numbers", "KER-IDV-202"),
    ("uin", "1075290830", "not-start-with", "KER-IDV-206"),
    ("uin", "6584109730", "sequence-limit", "KER-IDV-202"),
    ("vid", "3604158095762097", "repeating-block-limit", "KER-IDV-002"),
    ("rid", "10001100020000120230229120000", "timestamp", "KER-IDV-305"), ("rid", "1", "length", "KER-IDV-304"),
  ]) func `An invalid value is named by rule and MOSIP's code, one object a line, with exit code 1`(
    kind: String, value: String, rule: String, code: String
  ) throws {
    let checked = run("check \(kind) --json \(value)")
    #expect(checked.code == 1)
    let object = try JSONValue.parse(String(checked.text.dropLast()))
    #expect(object["valid"]?.bool == false && object["rule"]?.string == rule && object["code"]?.string == code)
  }

  @Test
  func `MOSIP's laxer rules, other settings and standard input are asked for by name`() throws {
    #expect(run("check uin 7640206791").code == 1)
    #expect(run("check uin --lax 7640206791").code == 0)
    #expect(run("check uin --rule repeating-limit=0 --rule sequence-wraps=false 7640206791").code == 0)
    #expect(run("generate vid --rule length=12").text.utf8.count == 13)
    #expect(run("check rid --center 10003 10001100020000120240229235959").text.contains("KER-IDV-302"))
    let (output, code) = Tool.shell("printf '5075291708\\n5075291709\\n' | '\(Tool.regproc)' id check uin -")
    #expect(code == 1 && output.split(separator: 10).count == 2)
  }

  @Test(arguments: [
    "check", "check uin", "check foo 1", "generate", "generate uin --count 0", "generate uin --rule nothing=1",
    "generate uin --center 1", "check rid --lax 1", "check vid --rule length=x 1",
  ]) func `Wrong use ends with 2 and no output`(words: String) {
    let result = run(words)
    #expect(result.code == 2 && result.text.isEmpty)
  }
}
