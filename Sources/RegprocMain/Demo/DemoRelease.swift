import StandIn

/// A release of OpenCRVS that a demo plays.
enum DemoRelease: String, Sendable, CaseIterable {
  case v1_6 = "1.6"
  case v1_8 = "1.8"
  case v1_9 = "1.9"
  case v2_0 = "2.0"

  /// The kinds of events that it tells anybody of (docs/upstream/scenarios.md#3-opencrvs-by-generation).
  var kinds: [DemoEvent.Kind] {
    switch self {
    case .v1_6: [.birth, .death]
    case .v1_8, .v1_9: [.birth, .death, .birthCorrection, .deathCorrection]
    case .v2_0: DemoEvent.Kind.allCases
    }
  }

  /// Whether it asks before it registers, and waits for the answer.
  var asks: Bool { self != .v1_6 }

  /// Why a kind of event cannot come from it; nil for one that can.
  func refusal(of kind: DemoEvent.Kind) -> String? {
    if kinds.contains(kind) { return nil }
    let others = Self.allCases.filter { $0.kinds.contains(kind) }.map(\.rawValue).joined(separator: ", ")
    return
      "OpenCRVS \(rawValue) tells nobody of a \(kind.rawValue); of those that can be played, these do: \(others). "
      + "Without --opencrvs it comes as a webhook of a topic of our own"
  }

  /// The made-up events that can come from it, each as what a registrar does there.
  /// - Parameter hasAll: whether they are of all kinds: then a death that was reversed is reinstated, which no webhook tells.
  func events(_ samples: [SampleEvents.Event], hasAll: Bool) -> [DemoEvent] {
    let events = events(samples)
    guard hasAll, asks else { return events }
    return events + events.filter { $0.kind == .deathReversal }.map(\.reinstated)
  }

  private func events(_ samples: [SampleEvents.Event]) -> [DemoEvent] {
    samples.compactMap { sample in
      var event = DemoEvent(sample)
      guard kinds.contains(event.kind) else { return nil }
      if !asks { return event }
      guard let deed = DemoEvent.Deed(sample, event.kind, of: samples) else { return nil }
      event.isDone(by: deed)
      return event
    }
  }

  /// Births alone.
  func events(_ births: [SampleBirths.Birth]) -> [DemoEvent] {
    births.compactMap { birth in
      var event = DemoEvent(birth)
      if !asks { return event }
      guard let record = SampleRecord(birth) else { return nil }
      event.isDone(by: .register(record))
      return event
    }
  }
}

extension DemoEvent {
  /// What a registrar does, where OpenCRVS asks before it is done.
  enum Deed: Sendable {
    case register(SampleRecord)
    case correct(SampleRecord.Changes)
    case revoke
    case reinstate

    /// What a made-up event comes of, among those that it is made with; nil for one of a record that nobody registers.
    init?(_ sample: SampleEvents.Event, _ kind: Kind, of all: [SampleEvents.Event]) {
      guard let record = SampleRecord(sample) else { return nil }
      if kind == .birth || kind == .death {
        self = .register(record)
        return
      }
      let registered = all.first {
        $0.topic.hasSuffix("_REGISTERED") && $0.errorCodes.isEmpty && $0.registrationNumber == sample.registrationNumber
      }
      guard let former = registered.flatMap({ SampleRecord($0) }) else { return nil }
      switch kind {
      case .birthCorrection, .deathCorrection: self = .correct(SampleRecord.Changes(from: former, to: record))
      case .deathReversal, .birthRevocation: self = .revoke
      default: self = .reinstate
      }
    }
  }

  /// What makes a death that was reversed a death again.
  fileprivate var reinstated: DemoEvent {
    var event = self
    (event.name, event.kind, event.wave) = ("death-reinstated", .death, wave + 1)
    event.goal = .results(Kind.death.results)
    event.isDone(by: .reinstate)
    return event
  }

  /// Only the first event of a record has a key that is known before it is sent.
  mutating func isDone(by deed: Deed) {
    self.deed = deed
    if case .register = deed { return }
    key = nil
  }
}
