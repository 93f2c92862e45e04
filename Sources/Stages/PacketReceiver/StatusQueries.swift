import HTTP
import JSON
import StageKit
import System

/// The endpoints by which a registration client asks what became of its packets (docs/upstream/stages.md#16-status-by-rid-and-external-status).
struct StatusQueries: Sendable {
  /// The three questions.
  enum Question {
    /// May the packet be deleted, or must it be sent again?
    case progress
    /// What came of the registration?
    case outcome
    /// Was the packet taken?
    case packet

    /// The id of request and answer.
    var id: String {
      switch self {
      case .progress: "mosip.registration.status"
      case .outcome: "mosip.registration.external.status"
      case .packet: "mosip.registration.packet.external.status"
      }
    }
  }

  /// So many of a request's ids are answered; upstream leaves the rest out in silence, too.
  static let most = 100

  let settings: StageSettings
  let context: StageContext
  let endpoint: MosipEndpoint
  let status: ExternalStatus

  func take(_ request: Request, _ question: Question) async throws -> Response {
    do {
      var found: [JSONValue] = []
      var unknown: [JSONValue] = []
      let name = question == .packet ? "packetId" : "registrationId"
      for entry in try entries(of: request, question).prefix(Self.most) {
        guard let id = entry[name]?.string, MosipEndpoint.isSafeName(id) else {
          throw SyncError("RPR-RGS-013", "a `\(name)` is missing or has characters it may not have")
        }
        let answers = try await answers(id, question)
        if answers.isEmpty {
          unknown.append([
            "\(name)": .string(id), "errorCode": "RPR-RGS-031",
            "message": .string(question == .packet ? "Packet Id Not Found" : "RID Not Found"),
          ])
        }
        found += answers
      }
      return await endpoint.answer(
        question.id, response: found.isEmpty ? .null : .array(found), errors: unknown.isEmpty ? .null : .array(unknown))
    } catch let fault as SyncError {
      return await endpoint.answer(
        question.id, response: .null, errors: [["errorCode": .string(fault.code), "message": .string(fault.message)]])
    } catch let error as ServiceError {
      context.log.warning("a status could not be read", ["error": error.description])
      throw endpoint.refusal(503)
    }
  }

  private func entries(of request: Request, _ question: Question) throws -> [JSONValue] {
    guard let envelope = try? JSONValue.parse(request.body) else { throw SyncError("RPR-RGS-016", "the body is not JSON") }
    guard envelope.object != nil else { throw SyncError("RPR-RGS-017", "the body is no JSON object") }
    try EnvelopeCheck(settings: settings, clock: context.services.clock).check(envelope, id: question.id)
    guard let entries = envelope["request"]?.array, entries.allSatisfy({ $0.object != nil }) else {
      throw SyncError("RPR-RGS-017", "`request` is no list of ids")
    }
    return entries
  }

  // MARK: Answers

  private func answers(_ id: String, _ question: Question) async throws -> [JSONValue] {
    let register = context.services.registrations
    let now = context.clock.now
    switch question {
    case .packet:
      guard let announced = try await register.synced(packetId: id) else { return [] }
      let row = try await register.registration(workflowInstanceId: announced.workflowInstanceId)
      let word = row.map { status.packetStatus(of: $0, now: now) } ?? .uploadPending
      return [["packetId": .string(id), "statusCode": .string(word.rawValue)]]
    case .progress:
      let rows = try await register.registrations(rid: id)
      if !rows.isEmpty {
        var answers: [JSONValue] = []
        for row in rows {
          var answer: JSONObject = [
            "registrationId": .string(id), "statusCode": .string(status.statusForClients(of: row, now: now).rawValue),
          ]
          if row.statusCode == .pausedForAdditionalInfo,
            let request = try await register.additionalInfoRequests(workflowInstanceId: row.workflowInstanceId).last
          {
            answer["additionalInfoReqId"] = .string(request.id)
          }
          answers.append(.object(answer))
        }
        return answers
      }
    case .outcome:
      let rows = try await register.registrations(rid: id)
      let main = settings.texts("main-processes")
      if let row = rows.last(where: { main.contains($0.process) }) {
        let corrections = rows.filter { settings.texts("sub-processes").contains($0.process) }
        let word = status.outcome(of: row, corrections: corrections)
        return [["registrationId": .string(id), "statusCode": .string(word.rawValue)]]
      }
      // Upstream's own answer for corrections of a registration that it does not know.
      if !rows.isEmpty { return [["registrationId": .null, "statusCode": .null]] }
    }
    guard try await !register.synced(rid: id).isEmpty else { return [] }
    return [["registrationId": .string(id), "statusCode": .string(ExternalStatus.Word.uploadPending.rawValue)]]
  }
}

/// What the requests to MOSIP's endpoints have around them (docs/upstream/packet-and-crypto.md#61-sync).
struct EnvelopeCheck {
  let settings: StageSettings
  let clock: any WallClock

  /// - Throws: `SyncError` RPR-RGS-013 for what is missing, RPR-RGS-014 for what is wrong.
  func check(_ envelope: JSONValue, id: String) throws {
    func text(_ name: String) throws -> String {
      guard let text = envelope[name]?.string, !text.isEmpty else {
        throw SyncError("RPR-RGS-013", "`\(name)` is missing")
      }
      return text
    }
    let moment = try text("requesttime")
    let tolerance = Double(settings.integer("request-time-tolerance"))
    guard let sent = Instant(iso: moment), abs(sent.seconds(since: clock.now)) <= tolerance else {
      throw SyncError("RPR-RGS-014", "`requesttime` is no moment or too far from the present one")
    }
    guard try text("id") == id else { throw SyncError("RPR-RGS-014", "`id` is another one's") }
    guard try text("version") == "1.0" else { throw SyncError("RPR-RGS-014", "`version` is not 1.0") }
  }
}
