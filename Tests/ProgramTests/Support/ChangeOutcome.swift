import OpenCRVS
import JSON
import Postgres
import StandIn
import System
import Testing

@testable import EmbeddedPlatform
@testable import RegprocMain

/// What became of deaths, corrections and reversals, as the database of a pipeline and OpenCRVS know it.
struct ChangeOutcome: Sendable {
  /// Where the mediators have each event, by work key.
  var states: [String: EventState] = [:]
  /// The results that came back for a work key, e.g. `death success`.
  var results: [String: [String]] = [:]
  /// The application ids of all changes, as often as they are used.
  var aids: [String] = []
  /// How each change stands, by work key.
  var statuses: [String: String] = [:]
  /// The identity's status by each RID that leads to it.
  var identities: [String: String] = [:]
  /// The identity's names in all languages by the same RIDs.
  var names: [String: String] = [:]
  /// UINs that were given to somebody.
  var uins = 0
  /// Lines and queues that are not empty, and people who are held: must stay empty.
  var left: [String] = []

  /// Reads everything at once.
  static func read(_ events: [DemoEvent], _ pipeline: UpPipeline) async throws -> ChangeOutcome {
    let keys = events.compactMap(\.key)
    let folder = try KeyFolder(folder: pipeline.folder + "/platform/keys")
    let sealer = try Sealer(folder)
    var outcome = try await pipeline.read { connection in
      var out = ChangeOutcome()
      out.states = try EventState.read(keys: keys, on: connection)
      for row in try connection.execute(
        """
        SELECT document->>'txnId', concat_ws(' ', document->>'type', document->>'status') FROM regproc.stage_record
        WHERE stage = 'opencrvs-mediator' AND collection = 'statuses' ORDER BY created_at
        """)
      {
        out.results[try row.textOrNull(0) ?? "-", default: []].append(try row.text(1))
      }
      for row in try connection.execute(
        """
        SELECT key, document->>'status', document->>'rid' FROM regproc.stage_record
        WHERE stage = 'mosip-mediator' AND collection = 'change_transactions'
        """)
      {
        out.statuses[try row.text(0)] = try row.textOrNull(1) ?? "-"
        out.aids.append(try row.textOrNull(2) ?? "-")
      }
      for row in try connection.execute(
        "SELECT r.rid, i.status, i.fields, i.uin_hash FROM platform.identity_rid AS r JOIN platform.identity AS i USING (uin_hash)")
      {
        out.identities[try row.text(0)] = try row.text(1)
        let fields = try sealer.open(try row.bytes(2), in: SealedColumn.identityFields.row(try row.bytes(3)))
        let names =
          try JSONValue.parse(fields)["fullName"]?.array?.compactMap { $0["value"]?.string } ?? []
        out.names[try row.text(0)] = names.joined(separator: ", ")
      }
      out.uins = try connection.execute("SELECT count(*)::int FROM platform.uin WHERE NOT is_free").map { try $0.int(0) }[0]
      out.left = try connection.execute(
        """
        SELECT concat_ws(' ', stage, collection, key, document->>'queue', document->>'holder') FROM regproc.stage_record
        WHERE document->>'holder' IS NOT NULL OR jsonb_array_length(document->'queue') > 0
        """
      ).map { try $0.text(0) }
      return out
    }
    let blocking = BlockingPool(name: "keys", threads: 1)
    defer { blocking.close() }
    let envelopeKeys = EmbeddedEnvelopeKeys(keys: folder, blocking: blocking)
    for (key, state) in outcome.states {
      if let token = state.token { outcome.states[key]?.token = try await KeptToken.opened(token, envelopeKeys) }
    }
    return outcome
  }

  /// Whether every event has ended by now.
  func haveEnded(_ events: [DemoEvent]) -> Bool { events.allSatisfy { states[$0.key ?? ""]?.end != nil } }

  /// The names of events that have not ended.
  func open(_ events: [DemoEvent]) -> [String] { events.filter { states[$0.key ?? ""]?.end == nil }.map(\.name) }

  /// Expects every event to have ended as it must, once, and every identity to be as its events leave it.
  /// - Parameters:
  ///   - released: work keys of changes that were held first, of which OpenCRVS was told twice.
  ///   - perhapsReleased: those that were let go on at a moment that nobody chose: before OpenCRVS was told that they are held, or after.
  func expect(
    _ lines: EventLines, released: Set<String> = [], perhapsReleased: Set<String> = [], at standIn: StandInOpenCRVS,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for line in lines.lines {
      let token = line.first.flatMap { $0.isBirthToToken ? $0.registrationNumber : nil }.flatMap { standIn.returned($0).token }
      for event in line where !event.isBirthToToken {
        let key = event.key ?? ""
        let before = ["\(event.kind.rawValue) error"]
        let told = perhapsReleased.contains(key) ? [[], before] : [released.contains(key) ? before : []]
        expectEnd(event, token, toldBefore: told, standIn, sourceLocation)
      }
    }
    for (number, status) in lines.statuses {
      let rid = standIn.returned(number).rid ?? "-"
      #expect(identities[rid] == status, "\(number)", sourceLocation: sourceLocation)
      let seconds = EventLines.secondNames.filter { names[rid]?.contains($0) == true }
      #expect(seconds == lines.secondNames[number].map { [$0] } ?? [], "\(number)", sourceLocation: sourceLocation)
    }
    #expect(uins == lines.events.count { $0.isBirthToToken }, "nobody has a second UIN", sourceLocation: sourceLocation)
    #expect(Set(aids).count == aids.count, "no two changes share an application id", sourceLocation: sourceLocation)
    let unended = statuses.filter { !["Told", "Failed"].contains($0.value) }
    #expect(unended.isEmpty, "\(unended)", sourceLocation: sourceLocation)
    #expect(left.isEmpty, "\(left)", sourceLocation: sourceLocation)
    // What nobody sent has no result.
    let unsent = Set(results.keys).subtracting(lines.events.compactMap(\.key))
    #expect(unsent.isEmpty, "\(unsent)", sourceLocation: sourceLocation)
  }

  private func expectEnd(
    _ event: DemoEvent, _ token: String?, toldBefore: [[String]], _ standIn: StandInOpenCRVS, _ sourceLocation: SourceLocation
  ) {
    let key = event.key ?? "-"
    let told = event.registrationNumber.map { standIn.returned($0) }
    switch (states[key]?.end, event.goal) {
    case (.done(let what, let changed), .results(let results)):
      #expect(results.contains(what), "\(event.name)", sourceLocation: sourceLocation)
      #expect(changed.isEmpty == (what != "corrected"), "\(event.name): \(changed)", sourceLocation: sourceLocation)
      // Whom a change is about that comes too late is not looked for.
      if what != "unchanged" || states[key]?.token != nil {
        #expect(states[key]?.token == token, "\(event.name) is about another person", sourceLocation: sourceLocation)
      }
      // Of a death OpenCRVS is told the token, by the death's number.
      if event.kind == .death {
        #expect(told.map { Set($0.tokens) } == token.map { [$0] }, "\(event.name)", sourceLocation: sourceLocation)
        #expect(told.map { Set($0.rids).count } == 1, "\(event.name)", sourceLocation: sourceLocation)
      }
      let expected = toldBefore.map { $0 + ["\(event.kind.rawValue) success"] }
      #expect(expected.contains(returned(key)), "\(event.name): \(returned(key))", sourceLocation: sourceLocation)
    case (.error(let code), .error(let codes)):
      #expect(codes.contains(code), "\(event.name)", sourceLocation: sourceLocation)
      // Delivered again after its error it is tried again, and ends as it did.
      #expect(Set(returned(key)).count <= 1, "\(event.name)", sourceLocation: sourceLocation)
      let errors = Set(told?.errors ?? [])
      #expect(
        errors.count == 1 && errors.allSatisfy { $0.hasPrefix(code + ":") }, "\(event.name) \(errors)",
        sourceLocation: sourceLocation)
      #expect(told?.tokens == [], "\(event.name)", sourceLocation: sourceLocation)
    case (let end, let goal):
      Issue.record(
        "\(event.name) (\(key)) ended as \(end.map { "\($0)" } ?? "nothing"), not as \(goal)", sourceLocation: sourceLocation)
    }
  }

  private func returned(_ key: String) -> [String] { results[key] ?? [] }
}
