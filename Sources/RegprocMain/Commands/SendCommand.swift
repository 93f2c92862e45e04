import HTTP
import JSON
import Registration
import StandIn
import System

/// `regproc send KIND FILE...`: an OpenCRVS event, signed as OpenCRVS signs it.
enum SendCommand {
  /// One for each kind of event.
  static let all = DemoEvent.Kind.allCases.map(command)

  private static func command(_ kind: DemoEvent.Kind) -> Command {
    let words = kind.rawValue.replacing("-", with: " ")
    return Command(
      name: "send \(kind.rawValue)", summary: "sends OpenCRVS \(words) events (\(kind.topic)), signed, to a mediator",
      operands: [Operand(name: "FILE", meaning: "webhook bodies as OpenCRVS sends them", isRepeatable: true)],
      options: [
        .text("to", "URL", "the mediator's /webhooks (default: of the pipeline that runs on the data folder)"),
        .text("secret-file", "FILE", "the secret that OpenCRVS signs with (default: of the data folder)"),
      ], takesSettings: true,
      example: "send \(kind.rawValue) \(kind.rawValue).json --to http://127.0.0.1:8080/webhooks --secret-file secret"
    ) { try await run(kind, $0, $1) }
  }

  private static func run(_ kind: DemoEvent.Kind, _ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let events = try arguments.operands.map { try DemoEvent(file: $0) }
    // An event without a topic is sent: what is wrong with it is for the mediator to say.
    if let other = events.first(where: { $0.topic != nil && $0.topic != kind.topic }) {
      let right = DemoEvent.Kind.allCases.first { $0.topic == other.topic }
      throw Failure(
        "\(other.name) is no \(kind.rawValue): its topic is \(other.topic ?? "")"
          + (right.map { "; send it with: regproc send \($0.rawValue)" } ?? ""))
    }
    guard let url = arguments.text("to") ?? RunNote.read(in: settings.data).map({ $0.url + "/webhooks" }) else {
      throw Failure("nothing runs on \(settings.data); say where to send with --to http://HOST:PORT/webhooks")
    }
    let secretFile = arguments.text("secret-file") ?? settings.data + "/secrets/opencrvs-sha-secret"
    let secret = String(decoding: try Files.read(secretFile), as: UTF8.self).split(whereSeparator: \.isNewline).first.map(
      String.init)
    guard let secret, !secret.isEmpty else { throw Failure("\(secretFile) holds no secret") }
    let client = Client(try settings.client())
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

/// `regproc sample`: made-up events to send.
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

  static let events = Command(
    name: "sample events", summary: "writes made-up OpenCRVS events of all kinds, to send in their order",
    details: """
      Births, and what comes of them: deaths, corrections, a reversal, a revocation, and events that must end in an error. Files are numbered
      in the order in which they must be sent; each kind's name is in that of its file.
      """,
    operands: [Operand(name: "FOLDER", meaning: "where one file for each is written")],
    options: [
      .number("seed", "N", 0...1_000_000_000, "the same seed and run make the same people (default: 1)"),
      .text("run", "TEXT", "letters and digits in every registration number (default: of this moment)"),
    ], example: "sample events events"
  ) { arguments, around in
    let samples = SampleEvents(
      seed: UInt64(arguments.integer("seed") ?? 1), run: try runName(arguments.text("run")), year: birthYear, at: .now)
    let (folder, events) = (arguments.operands[0], samples.all())
    try Files.makeFolder(folder)
    for (index, event) in events.enumerated() {
      let (place, kind) = (String(index + 1), DemoEvent.Kind(topic: event.topic))
      let file = "\(place.count < 2 ? "0" : "")\(place)-\(kind.rawValue)-\(event.name).json"
      try Files.write(event.body + [10], to: "\(folder)/\(file)", mode: 0o644)
    }
    around.console.err(
      "\(events.count) made-up events are in \(folder); send each with: regproc send KIND FILE\n")
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
