import Glibc
import Testing

@testable import StageRuntime

@Suite(.timeLimit(.minutes(30))) struct AdminNamesTests {
  @Test(arguments: [
    "localhost", "LocalHost", "localhost.", "localhost:8081", "localhost:", "127.0.0.1", "127.0.0.1:80", "127.255.3.4", "[::1]",
    "[::1]:8081",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
  ])
  func `loopback is always its own name`(_ host: String) {
    #expect(AdminNames().allows(host: host))
  }

  @Test(arguments: [
    "", " ", ".", ":", ":8081", "evil.example", "evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example",
    "localhost:8081:1",
    "localhost:a", "localhost:-1", "localhost:1234567", "local host", "localhost..", "localhost/", "localhost@evil.example",
    "evil.example#localhost", "a,localhost", "lоcalhost", "xn--lcalhost-6fg", "ⓛocalhost", "localhost\u{0}", "127.1", "127.0.0.1.",
    "0x7f.0.0.1",
    "2130706433", "128.0.0.1", "0.0.0.0", "10.1.2.3", "[::1", "::1]", "[::1]x", "[::1]:x", "[::2]", "[::1%25lo]", "[127.0.0.1]",
    "[localhost]",
    "[]", "[]:8081", "[::ffff:10.1.2.3]", String(repeating: "a", count: 64), String(repeating: "a.", count: 200),
  ])
  func `what is not its name in one reading is refused`(_ host: String) {
    #expect(!AdminNames().allows(host: host))
  }

  @Test func `names that were given count in every spelling`() {
    let names = AdminNames(["Regproc.Ops.Example", "10.1.2.3", "fd00::7", "not a name", ""])
    for host in ["regproc.ops.example", "REGPROC.ops.example.:9090", "10.1.2.3:8081", "[fd00:0::7]:1", "[::ffff:10.1.2.3]"] {
      #expect(names.allows(host: host), "\(host)")
    }
    for host in ["ops.example", "a.regproc.ops.example", "regproc", "10.1.2.4", "[fd00::8]", "not a name", ""] {
      #expect(!names.allows(host: host), "\(host)")
    }
  }

  @Test func `addresses of this machine count only beyond loopback`() {
    let (inside, outside) = (AdminNames(boundTo: "127.0.0.1", and: []), AdminNames(boundTo: "10.99.88.77", and: ["x.example"]))
    #expect(!inside.allows(host: "10.99.88.77") && outside.allows(host: "10.99.88.77:8081"))
    #expect(outside.allows(host: "x.example") && !outside.allows(host: "y.example"))
    #expect(AdminNames(boundTo: "0.0.0.0", and: []).allows(host: "127.0.0.1"))
  }

  @Test func `interfaces and the hosts own name are the machines`() {
    let (inside, outside) = (AdminNames(boundTo: "::1", and: []), AdminNames(boundTo: "::", and: []))
    for address in AdminNames.interfaceAddresses() {
      let field = address.contains(":") ? "[\(address)]:8081" : "\(address):8081"
      #expect(outside.allows(host: field) && AdminNames.ofInterfaces.allows(host: field), "\(address)")
      #expect(inside.allows(host: field) == AdminNames.isLoopback(address), "\(address)")
    }
    var name = [CChar](repeating: 0, count: 256)
    #expect(gethostname(&name, 255) == 0)
    let own = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    #expect(inside.allows(host: own.uppercased()) && inside.allows(host: "\(own.prefix { $0 != "." }).:1"))
    let file =
      "127.0.0.1 localhost\n10.1.2.3\tpod.set.example pod other.example # pod.evil.example pod\n10.1.2.4 pod2.example pod2\n"
    #expect(AdminNames.longNames(of: "pod", in: file) == ["pod.set.example"])
    #expect(AdminNames.longNames(of: "", in: file) == [] && AdminNames.longNames(of: "pod.set.example", in: file) == [])
  }

  @Test func `only loopback is loopback`() {
    for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"] { #expect(AdminNames.isLoopback(host), "\(host)") }
    for host in ["0.0.0.0", "::", "10.0.0.1", "regproc", "localhost.example", "", "127.1"] {
      #expect(!AdminNames.isLoopback(host), "\(host)")
    }
  }
}
