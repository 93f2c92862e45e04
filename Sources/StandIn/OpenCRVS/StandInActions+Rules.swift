import JSON

/// What is stored of an accept or a reject, and what fails.
extension StandInActions.State {
  enum Outcome {
    case stored
    /// The transaction was used for such an action before: nothing is stored, and nothing said.
    case dropped
    case failed(StandInActions.Refusal)
  }

  /// Stores an accept, unless its transaction was used or its number is another record's. An unknown field fails once it is stored.
  mutating func accept(
    _ action: ActionRecord.Action, of id: String, transactionId: String, declaration: JSONObject, annotation: JSONObject? = nil,
    number: String?, requestId: String?
  ) -> Outcome {
    if isUsed(transactionId, action.type, "Accepted") { return .dropped }
    if let number, records.values.contains(where: { $0.registration?.registrationNumber == number }) {
      let text = "duplicate key value violates unique constraint \"event_actions_registration_number_key\""
      return .failed(StandInActions.Refusal(status: 500, message: text))
    }
    let accepted = ActionRecord.Action(
      transactionId: transactionId, type: action.type, status: "Accepted", declaration: declaration, annotation: annotation,
      originalActionId: action.id, requestId: requestId, registrationNumber: number, customActionType: action.customActionType)
    records[id]?.actions.append(accepted)
    if action.type == "REQUEST_CORRECTION" { records[id]?.isCorrectionRequested = true }
    if action.type == "APPROVE_CORRECTION" { records[id]?.isCorrectionRequested = false }
    let known = self.known
    guard let unknown = declaration.keys.first(where: { !known.contains($0) }) else { return .stored }
    return .failed(StandInActions.Refusal(status: 500, message: StandInActions.notFound(unknown)))
  }

  /// Stores a reject. After that of an approval 1.9 wants another request, and 2.0 another approval.
  mutating func reject(
    _ action: ActionRecord.Action, of id: String, _ release: StandInActions.Release, transactionId: String
  ) -> Outcome {
    if isUsed(transactionId, action.type, "Rejected") { return .dropped }
    records[id]?.actions.append(
      ActionRecord.Action(
        transactionId: transactionId, type: action.type, status: "Rejected", originalActionId: action.id,
        requestId: action.requestId,
        customActionType: action.customActionType))
    if action.type == "APPROVE_CORRECTION", !release.isSecond { records[id]?.isCorrectionRequested = false }
    return .stored
  }

  /// Whether any record has such an action by this transaction.
  func isUsed(_ transactionId: String, _ type: String, _ status: String) -> Bool {
    records.values.contains { record in
      record.actions.contains { $0.transactionId == transactionId && $0.type == type && $0.status == status }
    }
  }
}

extension SampleRecord {
  /// The sample with those values of a form that a correction can have changed.
  func with(_ values: JSONObject) -> SampleRecord {
    changed(
      Changes(
        given: values["\(mainSection).name"]?["firstname"]?.string, birthDate: values["\(mainSection).dob"]?.string,
        dateOfDeath: values["eventDetails.date"]?.string,
        nationalId: values["\(mainSection).nid"]?.string.flatMap { kind == .death ? $0 : nil },
        motherOccupation: values["mother.occupation"]?.string))
  }
}
