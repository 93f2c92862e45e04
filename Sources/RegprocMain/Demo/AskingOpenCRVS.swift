import HTTP
import JSON
import StandIn
import Synchronization

/// An OpenCRVS of 1.7 or later in a demo: its registrar does things, and it waits for the answers.
final class AskingOpenCRVS: DemoOpenCRVS {
  private enum Country {
    case records(StandInRecords)
    case actions(StandInActions)
  }
  private let country: Country
  /// The ids of records by the numbers that made-up deaths name people by: there they have others.
  private let births: [String: String]
  private let ended: Mutex<[String: ContinuousClock.Instant]> = Mutex([:])

  /// - Throws: `CryptographyError` when no key can be made.
  init(_ release: DemoRelease, sending events: [DemoEvent], calling: ClientSettings) throws {
    country =
      switch release {
      case .v1_6, .v1_8: .records(try StandInRecords(calling: calling))
      case .v1_9: .actions(try StandInActions(release: .v1_9, calling: calling))
      case .v2_0: .actions(try StandInActions(release: .v2_0, calling: calling))
      }
    let registered = events.filter { $0.kind == .birth }
    births = Dictionary(
      registered.compactMap { event in event.registrationNumber.flatMap { number in event.recordId.map { (number, $0) } } },
      uniquingKeysWith: { first, _ in first })
  }

  /// Opens its endpoints.
  /// - Returns: the URL of its gateway and its authentication service.
  func start() throws -> String {
    switch country {
    case .records(let country): try country.start()
    case .actions(let country): try country.start()
    }
  }

  func stop() async {
    switch country {
    case .records(let country): await country.stop()
    case .actions(let country): await country.stop()
    }
  }

  // MARK: what its registrar does

  func send(_ event: DemoEvent, to url: String) async throws -> [String] {
    guard let deed = event.deed, let id = event.recordId else { throw Failure("\(event.name) comes of nothing that is done there") }
    do {
      switch country {
      case .records(let country):
        country.taker = url
        try await Self.act(deed, id, country, naming)
      case .actions(let country):
        country.taker = url
        try await Self.act(deed, id, country, naming)
      }
    } catch let refusal as StandInActions.Refusal {
      throw Failure("OpenCRVS shows its registrar \(refusal.status): \(refusal.message)")
    } catch is StandInRecords.Refusal {
      throw Failure("OpenCRVS' registrar cannot do that with this record")
    }
    let answer = state(of: id).flatMap { try? JSONValue.parse($0.takerAnswer) }
    return (answer?["errors"]?.array ?? []).compactMap { $0["errorCode"]?.string }
  }

  private static func act(
    _ deed: DemoEvent.Deed, _ id: String, _ country: StandInRecords, _ naming: (SampleRecord) -> SampleRecord
  ) async throws {
    switch deed {
    case .register(let record): try await country.register(naming(record))
    case .correct(let changes): try await country.correct(id, changes, .approved)
    case .revoke, .reinstate: throw Failure("OpenCRVS before 2.0 revokes nothing")
    }
  }

  private static func act(
    _ deed: DemoEvent.Deed, _ id: String, _ country: StandInActions, _ naming: (SampleRecord) -> SampleRecord
  ) async throws {
    switch deed {
    case .register(let record): try await country.register(naming(record))
    case .correct(let changes): try await country.correct(id, changes)
    case .revoke: try await country.revoke(id, reason: "FRAUD")
    case .reinstate: try await country.reinstate(id, reason: "ERROR")
    }
  }

  /// The record with the numbers that its births were registered under.
  private func naming(_ record: SampleRecord) -> SampleRecord {
    var record = record
    record.subject.identifiers = record.subject.identifiers.map { type, value in
      (type, births[value].flatMap { state(of: $0)?.number } ?? value)
    }
    return record
  }

  // MARK: what it knows

  private func state(of id: String) -> RecordState? {
    switch country {
    case .records(let country): country.state(of: id)
    case .actions(let country): country.state(of: id)
    }
  }

  func answer(to event: DemoEvent) -> DemoAnswer {
    guard let state = event.recordId.flatMap({ state(of: $0) }) else { return DemoAnswer() }
    func identifier(_ type: String) -> String? { state.identifiers.first { $0.type == type }?.value }
    var answer = DemoAnswer(
      number: state.number, rid: identifier("MOSIP_AID"), error: Self.code(in: state.comment),
      isAwaited: state.standing == .waiting || state.isAsked, isRefused: state.isRefused)
    if event.kind == .birth { answer.token = identifier("MOSIP_PSUT_TOKEN_ID") ?? state.declaration["child.nid"]?.string }
    if !answer.isAwaited { answer.endedAt = firstSeen(event.name) }
    return answer
  }

  private func firstSeen(_ name: String) -> ContinuousClock.Instant {
    ended.withLock { ended in
      let moment = ended[name] ?? .now
      ended[name] = moment
      return moment
    }
  }

  /// The first code of a comment such as `MOSIP: OPN-CRVS-006 a name is missing`.
  private static func code(in comment: String?) -> String? {
    comment?.split { $0 == " " || $0 == ":" || $0 == ";" }.map(String.init).first { $0.contains("-") && $0 == $0.uppercased() }
  }
}
