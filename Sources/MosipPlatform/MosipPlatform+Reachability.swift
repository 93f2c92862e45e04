import HTTP
import StageKit
import System

extension MosipPlatform {
  /// Whether a service can be reached, in words for a person.
  public struct Reachability: Sendable {
    /// The service.
    public var service: MosipService
    /// Where it was looked for.
    public var url: String
    /// Whether it answers.
    public var isGood: Bool
    /// How it answers, or why it does not.
    public var words: String
  }

  /// Asks every service for a sign of life, all at once, and Keycloak for a token of our client.
  /// - Returns: the services in their order.
  public static func reachability(
    _ settings: MosipSettings, http: any HTTPExchange, clock: any WallClock, timing: Timing = .system
  ) async -> [Reachability] {
    await withTaskGroup(of: (Int, Reachability).self) { group in
      for (place, service) in MosipService.allCases.enumerated() {
        group.addTask {
          let (isGood, words) = await look(service, settings, http, clock, timing)
          return (place, Reachability(service: service, url: settings.url(service), isGood: isGood, words: words))
        }
      }
      return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  private static func look(
    _ service: MosipService, _ settings: MosipSettings, _ http: any HTTPExchange, _ clock: any WallClock, _ timing: Timing
  ) async -> (Bool, String) {
    do {
      let response = try await http.send(
        ClientRequest(
          url: settings.url(service) + service.probePath, timeoutSeconds: min(5, settings.calling.timeoutSeconds),
          maxResponseBytes: 1 << 20))
      guard response.status < 500 else { return (false, "answers with status \(response.status)") }
      guard service == .iam else { return (true, "answers (status \(response.status))") }
      _ = try await ClientTokens(settings, http: http, clock: clock, timing: timing).token(of: nil)
      return (true, "gives our client a token")
    } catch let error as HTTPError {
      return (false, "does not answer: \(error.reason)")
    } catch {
      return (false, (error as? ServiceError)?.message ?? "does not answer")
    }
  }
}
