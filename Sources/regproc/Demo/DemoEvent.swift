import JSON
import StandIn

/// An event that is sent, and what a person is told of it.
struct DemoEvent: Sendable {
  enum Kind: String, Sendable {
    case birth, death, correction

    /// What an event of this kind should end as, by the words of `demo --json`.
    var goal: String {
      switch self {
      case .birth: "uin-token"
      case .death: "deactivated"
      case .correction: "corrected"
      }
    }
  }

  /// The file's name, or the name of a sample.
  var name: String
  var kind: Kind
  /// Its topic; nil when the body says none.
  var topic: String?
  var registrationNumber: String?
  var body: [UInt8]

  /// Reads a webhook body from a file; whatever is wrong with its content, also that it is no JSON, is for the mediator to say.
  /// - Throws: `Failure` when it cannot be read.
  init(file: String) throws {
    body = try Files.read(file)
    // What an editor leaves at the end is not part of what OpenCRVS sends.
    while body.last == 10 || body.last == 13 { body.removeLast() }
    let value = (try? JSONValue.parse(body)) ?? .null
    name = file.split(separator: "/").last.map(String.init) ?? file
    let topic = value["event"]?["hub"]?["topic"]?.string
    self.topic = topic
    kind = topic?.hasSuffix("CORRECTED") == true ? .correction : topic?.hasPrefix("DEATH") == true ? .death : .birth
    registrationNumber = Self.registrationNumber(value, kind)
  }

  init(_ birth: SampleBirths.Birth) {
    name = birth.name
    kind = .birth
    topic = "BIRTH_REGISTERED"
    registrationNumber = birth.registrationNumber
    body = birth.body
  }

  /// The number by which OpenCRVS will know the answer: of a Patient first, else of the Task, as the mediator looks for it.
  private static func registrationNumber(_ value: JSONValue, _ kind: Kind) -> String? {
    let wanted = kind == .death ? "DEATH_REGISTRATION_NUMBER" : "BIRTH_REGISTRATION_NUMBER"
    let system = kind == .death ? "death-registration-number" : "birth-registration-number"
    let resources = (value["event"]?["context"]?[0]?["entry"]?.array ?? []).compactMap { $0["resource"] }
    func number(_ isMeant: (JSONValue) -> Bool) -> String? {
      for resource in resources {
        for identifier in resource["identifier"]?.array ?? [] where isMeant(identifier) {
          if let text = identifier["value"]?.string { return text }
        }
      }
      return nil
    }
    return number { ($0["type"]?["coding"]?[0]?["code"]?.string ?? $0["type"]?.string) == wanted }
      ?? number { $0["system"]?.string?.hasSuffix(system) == true }
  }
}

/// How an event ended.
struct DemoResult: Sendable {
  struct Hop: Sendable {
    var stage: String
    var verdict: String
    var milliseconds: Double?
  }
  var event: DemoEvent
  var rid: String?
  /// `uin-token`, `error`, `taken` (for kinds that are taken and kept) or `unfinished`.
  var result: String
  var errorCode: String?
  var token: String?
  var hops: [Hop] = []
  var seconds: Double?

  /// Whether it ended as its kind should.
  var isGood: Bool { result == event.kind.goal }

  /// The object of design 9.
  var json: JSONValue {
    func number(_ value: Double?) -> JSONValue {
      value.flatMap { JSONNumber(($0 * 1000).rounded() / 1000) }.map { .number($0) } ?? .null
    }
    return [
      "file": .string(event.name), "kind": .string(event.kind.rawValue),
      "registrationNumber": JSONValue(event.registrationNumber), "rid": JSONValue(rid), "result": .string(result),
      "errorCode": JSONValue(errorCode), "uinToken": JSONValue(token),
      "hops": .array(
        hops.map { ["stage": .string($0.stage), "verdict": .string($0.verdict), "milliseconds": number($0.milliseconds)] }),
      "seconds": number(seconds),
    ]
  }
}
