import HTTP
import JSON
import StageKit
import System

/// Finds registration ids for somebody who has lost his, by what is kept in the clear: the center and the day of the announcement.
struct LostRIDSearches: Sendable {
  static let id = "mosip.registration.lostrid"
  /// Upstream searches by hashes of these. Here they are kept encrypted only, and go when the registration has told people of itself.
  private static let personal: Set = ["name", "email", "phone", "locationCode"]
  private static let columns = personal.union(["centerId", "registrationDate"])

  let settings: StageSettings
  let context: StageContext
  let endpoint: MosipEndpoint

  func take(_ request: Request) async throws -> Response {
    do {
      let search = try search(of: request)
      let found = try await context.services.registrations.announced(search)
      guard found.count < search.limit else { throw Self.tooWide }
      let errors: JSONValue = found.isEmpty ? [["errorCode": "RPR-RGS-031", "message": "RID Not Found"]] : .null
      return await endpoint.answer(
        Self.id, isSigned: false,
        response: .array(
          found.map {
            [
              "registrationId": .string($0.rid), "registartionDate": JSONValue($0.registrationDay), "additionalInfo": [:],
              "syncDateTime": .string($0.announcedAt.local),
            ]
          }), errors: errors)
    } catch let fault as SyncError {
      return await endpoint.answer(
        Self.id, isSigned: false, response: .null,
        errors: [["errorCode": .string(fault.code), "message": .string(fault.message)]])
    } catch let error as ServiceError {
      context.log.warning("a lost registration id could not be searched", ["error": error.description])
      throw endpoint.refusal(503)
    }
  }

  private static let tooWide = SyncError("RPR-RGS-032", "plz narrow down your search")

  private func search(of request: Request) throws -> LostRIDSearch {
    guard let envelope = try? JSONValue.parse(request.body) else { throw SyncError("RPR-RGS-016", "the body is not JSON") }
    guard envelope.object != nil else { throw SyncError("RPR-RGS-017", "the body is no JSON object") }
    try EnvelopeCheck(settings: settings, clock: context.services.clock).check(envelope, id: Self.id)
    guard let filters = envelope["request"]?["filters"]?.array else { throw SyncError("RPR-RGS-013", "`filters` is missing") }
    var days: (first: String, last: String)?
    var center: String?
    for filter in filters {
      guard let column = filter["columnName"]?.string, Self.columns.contains(column) else {
        throw SyncError("RPR-RGS-013", "a filter has no `columnName` that can be searched")
      }
      if Self.personal.contains(column) {
        throw SyncError(
          "RPR-RGS-032", "nothing is kept by which `\(column)` could be searched; search by registrationDate and centerId")
      }
      let type = filter["type"]?.string?.lowercased()
      if column == "registrationDate" {
        days = try self.days(filter, type)
      } else {
        guard type == "equals", let value = filter["value"]?.string, MosipEndpoint.isSafeName(value),
          center == nil || center == value
        else {
          throw SyncError("RPR-RGS-013", "the filter of `centerId` must be `equals` with a `value`")
        }
        center = value
      }
    }
    // Without days it would be a search through all there are.
    guard let days else { throw Self.tooWide }
    return LostRIDSearch(
      firstDay: days.first, lastDay: days.last, center: center, isAscending: try isAscending(envelope["request"]?["sort"]),
      limit: settings.integer("lost-rid-most") + 1)
  }

  private func days(_ filter: JSONValue, _ type: String?) throws -> (first: String, last: String) {
    let names = type == "between" ? ("fromValue", "toValue") : ("value", "value")
    guard type == "between" || type == "equals", let first = filter[names.0]?.string, let last = filter[names.1]?.string,
      let from = Self.day(first), let to = Self.day(last), from <= to
    else { throw SyncError("RPR-RGS-013", "the filter of `registrationDate` must have days as yyyy-MM-dd") }
    let most = settings.integer("lost-rid-days")
    guard to.seconds(since: from) <= Double(most) * 86_400 else {
      throw SyncError("RPR-RGS-034", "searching between date should be less then \(most) days")
    }
    return (first, last)
  }

  private static func day(_ text: String) -> Instant? {
    guard text.utf8.count == 10 else { return nil }
    return Instant(iso: text + "T00:00:00.000Z")
  }

  /// Everything that is found is in the order of its announcement, whichever member is named.
  private func isAscending(_ sort: JSONValue?) throws -> Bool {
    guard let sort, !sort.isNull else { return true }
    guard let entries = sort.array else { throw SyncError("RPR-RGS-013", "`sort` is no list") }
    guard entries.count <= 1 else { throw SyncError("RPR-RGS-033", "sorting not supported for more than 1 field") }
    guard let entry = entries.first else { return true }
    guard let field = entry["sortField"]?.string, Self.columns.contains(field) else {
      throw SyncError("RPR-RGS-013", "`sortField` is none that can be sorted by")
    }
    return entry["sortType"]?.string?.lowercased() != "desc"
  }
}

extension Instant {
  /// As Java writes a `LocalDateTime`, and reads it: in UTC, and without saying so.
  var local: String { String(iso.dropLast()) }
}
