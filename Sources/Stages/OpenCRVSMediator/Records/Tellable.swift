import JSON
import OpenCRVS
import StageKit

/// A record of which OpenCRVS is told.
protocol Tellable: Sendable {
  var numberKind: NumberKind? { get }
  var registrationNumber: String? { get }
  /// The application id under which MOSIP has it; nil for what MOSIP did not take.
  var takenAid: String? { get }
  var token: KeptToken { get }
  var errors: [ToldError] { get }
  /// Whether policy holds it until a person decides: its error is not its end.
  var isHeld: Bool { get }
}

extension Tellable {
  var isHeld: Bool { false }
}

/// What OpenCRVS is told of a record.
enum Telling: String, Sendable, CaseIterable {
  /// The application id under which MOSIP took it.
  case aid
  case token
  case error
  /// That it is done, to an OpenCRVS that waits; a webhook's has no place for it.
  case result
}

/// An error of an event.
struct ToldError: Sendable {
  let code: String
  /// Empty once the person's data were erased.
  let message: String

  init(code: String, message: String) {
    self.code = code
    self.message = message
  }

  /// The errors of a record; none where it has no such member.
  static func list(_ read: RecordReader) throws(ServiceError) -> [ToldError] {
    (try read.optionalObjects("errors") ?? []).map {
      ToldError(code: $0["errorCode"]?.string ?? "", message: $0["errorMessage"]?.string ?? "")
    }
  }

  var document: JSONValue { ["errorCode": .string(code), "errorMessage": .string(message)] }
}
