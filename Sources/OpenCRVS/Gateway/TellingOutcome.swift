import StageKit

/// How a call to OpenCRVS ended that tells it what became of a record or an action.
package enum TellingOutcome: Sendable {
  /// OpenCRVS has it.
  case done
  /// Another record has the registration number: a new one is needed, and this one never works.
  case numberUsed
  /// The transaction id was used before and the call was dropped in silence: it needs another one.
  case clash
  /// The action was rejected before, so it cannot be accepted.
  case alreadyRejected
  /// The action was accepted before, or the record registered with another number.
  case alreadyAccepted
  /// OpenCRVS' form has no field of this name. The acceptance is stored all the same, and the record can be read no more.
  case unknownField(String)
  /// It cannot be told, however often it is tried; why, in words.
  case undeliverable(String)
  /// It may work later.
  case again(ServiceError)
}

extension TellingOutcome {
  static func later(_ text: String) -> TellingOutcome { .again(GatewayConnection.unavailable(text)) }
}
