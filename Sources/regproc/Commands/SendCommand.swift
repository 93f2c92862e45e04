import HTTP
import JSON
import Registration
import StandIn
import System

/// `regproc send birth FILE...`: an OpenCRVS event, signed as OpenCRVS signs it.
enum SendCommand {
  static let birth = Command(
    name: "send birth", summary: "sends OpenCRVS birth events, signed, to a mediator",
    operands: [Operand(name: "FILE", meaning: "webhook bodies as OpenCRVS sends them", isRepeatable: true)],
    options: [
      .text("to", "URL", "the mediator's /webhooks (default: of the pipeline that runs on the data folder)"),
      .text("secret-file", "FILE", "the secret that OpenCRVS signs with (default: of the data folder)"),
    ], takesSettings: true, example: "send birth birth.json --to http://127.0.0.1:8080/webhooks --secret-file secret", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    guard let url = arguments.text("to") ?? RunNote.read(in: settings.data).map({ $0.url + "/webhooks" }) else {
      throw Failure("nothing runs on \(settings.data); say where to send with --to http://HOST:PORT/webhooks")
    }
    let secretFile = arguments.text("secret-file") ?? settings.data + "/secrets/opencrvs-sha-secret"
    let secret = String(decoding: try Files.read(secretFile), as: UTF8.self).split(whereSeparator: \.isNewline).first.map(
      String.init)
    guard let secret, !secret.isEmpty else { throw Failure("\(secretFile) holds no secret") }
    let events = try arguments.operands.map { try DemoEvent(file: $0) }
    if let other = events.first(where: { $0.topic.map { !$0.hasPrefix("BIRTH") } ?? false }) {
      throw Failure("\(other.name) is no birth: its topic is \(other.topic ?? "")")
    }
    let client = Client()
    defer { client.close() }
    var isGood = true
    for event in events {
      do {
        let codes = try await Webhook.post(event.body, to: url, secret: Array(secret.utf8), client)
        around.console.out(
          "\(event.name)  \(event.registrationNumber ?? "-")  taken\(codes.isEmpty ? "" : " with " + codes.joined(separator: " "))\n"
        )
      } catch {
        isGood = false
        around.console.err("regproc: \(event.name): \(error)\n")
      }
    }
    return isGood ? 0 : 1
  }
}

/// `regproc sample births`: made-up events to send.
enum SampleCommand {
  static let births = Command(
    name: "sample births", summary: "writes made-up OpenCRVS birth events, to send",
    operands: [
      Operand(
        name: "FOLDER", meaning: "where one file for each is written; without it they go to standard output, one a line",
        isRequired: false)
    ],
    options: [
      .number("births", "N", 1...100_000, "how many (default: 10)"),
      .number("seed", "N", 0...1_000_000_000, "the same seed and run make the same births (default: 1)"),
      .text("run", "TEXT", "letters and digits in every registration number (default: of this moment)"),
    ], example: "sample births events --births 20"
  ) { arguments, around in
    var samples = SampleBirths(
      seed: UInt64(arguments.integer("seed") ?? 1), run: try runName(arguments.text("run")), year: birthYear)
    let births = samples.make(arguments.integer("births") ?? 10)
    guard let folder = arguments.operand(0) else {
      for birth in births { around.console.out(birth.body + [10]) }
      return 0
    }
    try Files.makeFolder(folder)
    for birth in births { try Files.write(birth.body + [10], to: "\(folder)/\(birth.name).json", mode: 0o644) }
    around.console.err("\(births.count) made-up births are in \(folder); send them with: regproc send birth \(folder)/*.json\n")
    return 0
  }

  /// Births of last year: none of them is in the future.
  static var birthYear: Int { (Int(Instant.now.iso.prefix(4)) ?? 2026) - 1 }

  /// A run's name that no earlier run has: seconds since 2020 in base 36.
  static func runName(_ given: String?) throws -> String {
    if let given {
      guard !given.isEmpty, given.utf8.count <= 12, given.utf8.allSatisfy({ (48...57).contains($0) || (65...90).contains($0) })
      else {
        throw Failure("--run must be one to twelve capital letters and digits")
      }
      return given
    }
    return String((Instant.now.milliseconds - 1_577_836_800_000) / 100, radix: 36).uppercased()
  }
}
