import OpenCRVS
import JSON
import StandIn

/// An event that is sent, and what a person is told of it.
struct DemoEvent: Sendable {
  enum Kind: String, Sendable, CaseIterable {
    case birth, death
    case birthCorrection = "birth-correction"
    case deathCorrection = "death-correction"
    case deathReversal = "death-reversal"
    case birthRevocation = "birth-revocation"
    case birthReinstatement = "birth-reinstatement"

    /// The topic by which it comes.
    var topic: String { EventReading.Kind.all.first { $0.name == rawValue }?.topic ?? "" }

    /// The kind of a topic. One that has no way is called by what its record is about, as one without a topic is a birth: the mediator says
    /// what is wrong with it.
    init(topic: String?) {
      self = Self.allCases.first { $0.topic == topic } ?? (topic?.hasPrefix("DEATH") == true ? .death : .birth)
    }

    /// What an event of this kind should end as, by the words of `demo --json`: with several, settings say which.
    var results: [String] {
      switch self {
      case .birth: ["uin-token"]
      case .death: ["deactivated", "flagged"]
      case .birthCorrection: ["corrected", "unchanged", "uin-token"]
      case .deathCorrection: ["unchanged", "corrected"]
      case .deathReversal, .birthReinstatement: ["activated"]
      case .birthRevocation: ["deactivated"]
      }
    }

    /// When it can be sent at the earliest: births first, then what rests on births alone.
    var wave: Int {
      switch self {
      case .birth: 0
      case .death, .birthCorrection, .birthRevocation: 1
      case .deathCorrection, .deathReversal, .birthReinstatement: 2
      }
    }

    /// The number that OpenCRVS knows its record by.
    var isOfDeath: Bool { self == .death || self == .deathCorrection || self == .deathReversal }
  }

  /// How an event must end.
  enum Goal: Sendable, Equatable {
    case results([String])
    /// One of these codes; any code when there is none.
    case error([String])
  }

  /// The file's name, or the name of a sample.
  var name: String
  var kind: Kind
  /// Its topic; nil when the body says none.
  var topic: String?
  var registrationNumber: String?
  var body: [UInt8]
  var goal: Goal
  /// The key of its work in both mediators; nil for what no mediator can read.
  var key: String?
  /// What is done at an OpenCRVS that asks; nil for a webhook.
  var deed: Deed?
  /// The id of its record.
  var recordId: String?
  /// It is sent when all of lower waves have ended.
  var wave: Int

  /// Reads a webhook body from a file; whatever is wrong with its content, also that it is no JSON, is for the mediator to say.
  /// - Throws: `Failure` when it cannot be read, or is larger than what a mediator takes: that one may close the connection before its answer
  ///   is read.
  init(file: String) throws {
    body = try Files.read(file)
    // What an editor leaves at the end is not part of what OpenCRVS sends.
    while body.last == 10 || body.last == 13 { body.removeLast() }
    name = file.split(separator: "/").last.map(String.init) ?? file
    guard body.count <= EventLimits.event else {
      throw Failure("\(name): \(EventLimits.refusal(of: "the event", above: EventLimits.event))")
    }
    let value = (try? JSONValue.parse(body, limits: JSONLimits(maximumBytes: EventLimits.event))) ?? .null
    topic = value["event"]?["hub"]?["topic"]?.string
    kind = Kind(topic: topic)
    goal = .results(kind.results)
    let reading = EventReading(body)
    (key, recordId) = (reading?.key, reading?.recordId)
    registrationNumber = reading?.registrationNumber ?? Self.registrationNumber(value, kind)
    wave = kind.wave
  }

  init(_ birth: SampleBirths.Birth) {
    name = birth.name
    kind = .birth
    topic = kind.topic
    registrationNumber = birth.registrationNumber
    body = birth.body
    goal = .results(kind.results)
    (key, recordId, wave) = (birth.recordId, birth.recordId, 0)
  }

  init(_ event: SampleEvents.Event) {
    name = event.name
    kind = Kind(topic: event.topic)
    topic = event.topic
    registrationNumber = event.registrationNumber
    body = event.body
    goal = event.errorCodes.isEmpty ? .results(event.results) : .error(event.errorCodes)
    let reading = EventReading(body)
    (key, recordId, wave) = (reading?.key, reading?.recordId, event.wave)
  }

  /// Whether it belongs to the births that go the whole way.
  var isBirthToToken: Bool { kind == .birth && goal == .results(kind.results) }

  /// Files in waves: by their kind, and those of one record one after the other, as they are given.
  static func inWaves(_ events: [DemoEvent]) -> [DemoEvent] {
    var last: [String: Int] = [:]
    var out = events
    for index in out.indices {
      guard let record = out[index].recordId else { continue }
      if let before = last[record] { out[index].wave = max(out[index].wave, before + 1) }
      last[record] = out[index].wave
    }
    return out
  }

  /// The number by which OpenCRVS will know the answer: of a Patient first, else of the Task, as the mediator looks for it.
  private static func registrationNumber(_ value: JSONValue, _ kind: Kind) -> String? {
    let wanted = kind.isOfDeath ? "DEATH_REGISTRATION_NUMBER" : "BIRTH_REGISTRATION_NUMBER"
    let system = kind.isOfDeath ? "death-registration-number" : "birth-registration-number"
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
  /// `uin-token`, `deactivated`, `flagged`, `corrected`, `activated`, `unchanged`, `error` or `unfinished`.
  var result: String
  /// Names of the fields that were changed.
  var changed: [String] = []
  var errorCode: String?
  var token: String?
  var hops: [Hop] = []
  var seconds: Double?

  /// Whether it ended as it should.
  var isGood: Bool {
    switch event.goal {
    case .results(let results): results.contains(result)
    case .error(let codes): result == "error" && (codes.isEmpty || errorCode.map(codes.contains) == true)
    }
  }

  /// The object of one line of `demo --json`.
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
      "seconds": number(seconds), "changed": .array(changed.map { .string($0) }),
    ]
  }
}
