import JSON
import StageKit

extension ActionGateway {
  /// A correction that a system client asks for, by REST (docs/upstream/scenarios.md#38-corrections-by-a-system-client).
  package struct Correction: Sendable {
    /// The event's id.
    package let eventId: String
    /// One that no event has used yet.
    package let transactionId: String
    /// The new values.
    package let declaration: JSONObject
    /// Who asks, and why.
    package let annotation: JSONObject
    /// The office that it is made at.
    package let location: String

    /// A correction to ask for.
    package init(
      eventId: String, transactionId: String, declaration: JSONObject, annotation: JSONObject, location: String
    ) {
      self.eventId = eventId
      self.transactionId = transactionId
      self.declaration = declaration
      self.annotation = annotation
      self.location = location
    }

    var body: JSONValue {
      [
        "eventId": .string(eventId), "transactionId": .string(transactionId), "type": "REQUEST_CORRECTION",
        "declaration": .object(declaration), "annotation": .object(annotation), "createdAtLocation": .string(location),
      ]
    }
  }

  /// Which paths OpenCRVS has.
  package enum Release: Sendable {
    /// 1.9: the event stands in the body alone.
    case v1_9
    /// 2.x: the event stands in the path.
    case v2
  }

  /// Asks for a correction. Done means that a registrar sees it, not that it is approved.
  package func requestCorrection(_ correction: Correction, _ release: Release, token: String) async -> TellingOutcome {
    do throws(ServiceError) {
      let event = release == .v2 ? "/\(correction.eventId)" : ""
      let answer = try await connection.post(
        correction.body, "/events/events\(event)/correction/request", token: token)
      if let fault = ProcedureFault(answer) { return fault.outcome }
      guard answer.isSuccess, let actions = answer.body?["actions"]?.array else { return .again(answer.unexpected) }
      let isThere = actions.contains {
        $0["transactionId"]?.string == correction.transactionId && $0["type"]?.string == "REQUEST_CORRECTION"
      }
      return isThere ? .done : .clash
    } catch {
      return .again(error)
    }
  }
}
