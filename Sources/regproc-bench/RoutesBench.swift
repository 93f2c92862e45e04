import Glibc
import JSON

/// What an integrator waits for: twelve flows checked by the command as it is run by hand, and messages decided by it.
struct RoutesBench {
  private let program: String
  private let file: String
  private let rounds: Int
  private let messages: Int
  private let flows: Int

  init(_ options: Options) throws {
    program = try Machine.whole(options.text("regproc"))
    file = try Machine.whole(options.text("routes"))
    rounds = try options.number("rounds", 15)
    messages = try options.number("messages", 400_000)
    flows = try options.number("flows", 12)
  }

  func run() throws {
    let folder = try Machine.makeFolder()
    defer { Machine.remove(folder) }
    let routes = folder + "/routes.yaml"
    try write(try grown(read(file)), to: routes)
    let checks = try (0..<rounds).map { _ in try seconds("\(program) routes check \(routes)") * 1000 }
    say(
      "routes check, \(flows) flows, process and all: best \(fixed(checks.min() ?? 0, 1)) ms, median \(fixed(median(checks), 1)) ms"
    )

    let table = folder + "/table"
    _ = try seconds("\(program) routes check --table --json \(routes) > \(table)")
    let questions = try read(table).split(separator: "\n").compactMap {
      try JSONValue.parse(String($0))["example"]?.string
    }
    guard !questions.isEmpty else { throw BenchError("no questions") }
    var text = ""
    for index in 0..<messages { text += questions[index % questions.count] + "\n" }
    try write(text, to: folder + "/questions")
    let nothing = try (0..<5).map { _ in try seconds("\(program) routes decide --routes \(routes) < /dev/null") }
    let all = try (0..<5).map { _ in
      try seconds("taskset -c 0 \(program) routes decide --routes \(routes) < \(folder)/questions > \(folder)/answers")
    }
    let answers = try read(folder + "/answers").utf8.count { $0 == 10 }
    guard answers == messages else { throw BenchError("\(answers) answers to \(messages) questions") }
    let rates = all.map { Double(messages) / ($0 - (nothing.min() ?? 0)) }
    say(
      "routes decide on one core, messages of \(text.utf8.count / messages) bytes, every combination of the table in turn: "
        + "best \(fixed(rates.max() ?? 0, 0))/s, median \(fixed(median(rates), 0))/s")
  }

  /// As many flows as asked for: the file's own and copies of the first ones under other names.
  private func grown(_ text: String) throws -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let starts = lines.indices.filter { index in
      let line = lines[index]
      return line.hasPrefix("  ") && line.hasSuffix(":") && line.dropFirst(2).first?.isUppercase == true
    }
    guard !starts.isEmpty, starts.count <= flows else { throw BenchError("\(file) has \(starts.count) flows") }
    var out = text
    for copy in 0..<(flows - starts.count) {
      let index = copy % starts.count
      let end = index + 1 < starts.count ? starts[index + 1] : lines.endIndex
      let name = lines[starts[index]].dropLast()
      out += "\n\(name)_\(copy):\n" + lines[(starts[index] + 1)..<end].joined(separator: "\n")
    }
    return out
  }

  private func seconds(_ command: String) throws -> Double {
    let start = ContinuousClock.now
    let status = Machine.wait(try Machine.spawn(["/bin/sh", "-c", command]))
    guard status == 0 else { throw BenchError("\(command) ended with \(status)") }
    let (whole, fraction) = (ContinuousClock.now - start).components
    return Double(whole) + Double(fraction) / 1e18
  }

  private func read(_ path: String) throws -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { throw BenchError("\(path) cannot be read") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      guard count > 0 else { break }
      bytes += piece[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private func write(_ text: String, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard descriptor >= 0 else { throw BenchError("\(path) cannot be written") }
    defer { close(descriptor) }
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { throw BenchError("\(path) cannot be written") }
      bytes = bytes.dropFirst(count)
    }
  }
}
