import JSON
import StandIn
import System
import Testing

@testable import RegprocMain

/// Made-up births and events of all kinds that come of them, in lines: what stands in one line is about one person and is sent in its order.
struct EventLines: Sendable {
  /// The births that end with a UIN.
  private(set) var births: [SampleBirths.Birth] = []
  private(set) var lines: [[DemoEvent]]

  /// Second names that corrections give to children.
  static let secondNames = ["Rose", "Ivy", "Lily"]

  var events: [DemoEvent] { lines.flatMap { $0 } }
  /// All that end otherwise than as a birth with a UIN token.
  var changes: [DemoEvent] { events.filter { !$0.isBirthToToken } }

  /// Events of some people.
  init(_ lines: [[DemoEvent]]) { self.lines = lines }

  /// The sample events of some runs, of which the first has more about some of its people, between births of which nothing comes.
  init(runs: [String], plain: Int, at moment: Instant = .now) {
    lines = []
    for (index, run) in runs.enumerated() {
      var samples = SampleBirths(seed: 7, run: run, year: 2025)
      let (events, births) = (
        SampleEvents(seed: 7, run: run, year: 2025, at: moment), samples.make(SampleEvents.births)
      )
      add(events.all() + (index == 0 ? Self.more(events, births) : []), births)
    }
    let alone = OpenCRVSSide.births(plain, run: "ALONE")
    births += alone
    let step = max(1, lines.count / max(1, plain))
    for (index, birth) in alone.enumerated() {
      lines.insert([DemoEvent(birth)], at: min(lines.count, index * (step + 1)))
    }
  }

  private mutating func add(_ events: [SampleEvents.Event], _ births: [SampleBirths.Birth]) {
    self.births += births
    var own: [[SampleEvents.Event]] = births.map { _ in [] }
    for event in events {
      let text = String(decoding: event.body, as: UTF8.self)
      if let place = births.firstIndex(where: { text.contains("\"\($0.registrationNumber)\"") }) {
        own[place].append(event)
      } else {
        own.append([event])
      }
    }
    lines += own.map { line in
      line.enumerated().sorted { ($0.element.wave, $0.offset) < ($1.element.wave, $1.offset) }.map { DemoEvent($0.element) }
    }
  }

  /// What needs several changes of one record.
  private static func more(_ events: SampleEvents, _ births: [SampleBirths.Birth]) -> [SampleEvents.Event] {
    func corrected(_ name: String, _ place: Int, _ wave: Int, _ second: String, _ results: [String]) -> SampleEvents.Event {
      let birth = births[place]
      return events.changed(name, "BIRTH_CORRECTED", birth.body, birth.registrationNumber, wave, results) { resource in
        let numbers = resource["identifier"]?.array?.compactMap { $0["value"]?.string } ?? []
        guard resource["resourceType"]?.string == "Patient", numbers.contains(birth.registrationNumber),
          var name = resource["name"]?[0]
        else { return }
        name["given"] = [.string(birth.givenName + " " + second)]
        resource["name"] = [name]
      }
    }
    // Made before the correction that it comes after: what it says is older than what is known.
    var late = corrected("birth-corrected-too-late", 2, 0, "Ivy", ["unchanged"])
    late.wave = 2
    // The death of a child whose name and day of birth were corrected finds the person only by the corrected ones.
    var child = births[2]
    child.givenName += " Rose"
    child.birthDate =
      Instant(iso: child.birthDate + "T00:00:00.000Z").map { String($0.advanced(bySeconds: 86_400).iso.prefix(10)) } ?? ""
    var death = events.death("death-after-correction", child, 8, isNew: false)
    death.wave = 3
    return [
      late, death, corrected("birth-corrected-again", 3, 2, "Lily", ["corrected"]),
      corrected("birth-corrected-to-the-same", 3, 3, "Lily", ["unchanged"]),
      events.changed(
        "birth-revoked-again", "BIRTH_REVOKED", births[6].body, births[6].registrationNumber, 3, ["deactivated"]),
    ]
  }

  /// Has the last birth of which nothing came revoked.
  mutating func revokeLastBirth() -> DemoEvent {
    let birth = births[births.count - 1]
    let event = DemoEvent(
      SampleEvents(seed: 7, run: "ALONE", year: 2025, at: .now).changed(
        "birth-revoked-when-released", "BIRTH_REVOKED", birth.body, birth.registrationNumber, 1, ["deactivated"]))
    for index in lines.indices where lines[index].first?.registrationNumber == birth.registrationNumber {
      lines[index].append(event)
    }
    return event
  }

  /// What is sent: every event, each second one twice at once, and at the end of a line all of it again. A death names a birth that must have
  /// a UIN by then: nothing keeps events of different records in order.
  func deliveries(_ standIn: StandInOpenCRVS) -> [[WebhookSender.Delivery]] {
    lines.map { line in
      let first = line.first
      let sent = line.enumerated().flatMap { $0.offset % 2 == 0 ? [$0.element] : [$0.element, $0.element] } + line
      return sent.map { event in
        let isAfterBirth = first?.isBirthToToken == true && event.kind.isOfDeath
        return WebhookSender.Delivery(name: event.name, body: event.body) {
          guard isAfterBirth, let number = first?.registrationNumber else { return true }
          return standIn.returned(number).hasEnded
        }
      }
    }
  }

  /// The second name that each corrected child has in the end, by registration number.
  var secondNames: [String: String] {
    var out: [String: String] = [:]
    for line in lines {
      for event in line where event.kind == .birthCorrection && event.goal == .results(["corrected"]) {
        let text = String(decoding: event.body, as: UTF8.self)
        if let number = event.registrationNumber { out[number] = Self.secondNames.first { text.contains(" \($0)\"") } }
      }
    }
    return out
  }

  /// The status of each birth's identity that the events of its line leave, by registration number.
  var statuses: [String: String] {
    var out: [String: String] = [:]
    for line in lines {
      guard let birth = line.first, birth.isBirthToToken, let number = birth.registrationNumber else { continue }
      out[number] = "ACTIVATED"
      for case .results(let results) in line.map(\.goal) {
        if results.contains("deactivated") { out[number] = "DEACTIVATED" }
        if results.contains("activated") { out[number] = "ACTIVATED" }
      }
    }
    return out
  }
}
