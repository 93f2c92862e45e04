import JSON

extension MessageSpace.Cell {
  /// What is particular about the message, such as `tags.AGE_GROUP "INFANT", source null`; `any value` when nothing is.
  var words: String { words(withFlags: true) { subject, value, _ in "\(subject) \(Self.word(value))" } }

  /// The same of all the messages of its verdict that it stands for, such as `tags.AGE_GROUP "INFANT" or "MINOR"`.
  var allWords: String {
    words(withFlags: flagsMatter) { subject, value, others in
      "\(subject) " + ([value] + others).map(Self.word).joined(separator: " or ")
    }
  }

  private static func word(_ value: FieldValue) -> String {
    switch value {
    case .absent: "absent"
    case .null: "null"
    case .bool(let truth): "\(truth)"
    case .int(let number): "\(number)"
    case .text(let text) where text.hasPrefix("something"): text
    case .text(let text): quoted(text)
    }
  }

  private func words(
    withFlags: Bool, _ part: (Condition.Subject, FieldValue, [FieldValue]) -> String
  ) -> String {
    var parts = values.enumerated().map { index, pair in
      part(pair.subject, pair.value, index < alike.count ? alike[index] : [])
    }
    if verdict == nil, withFlags {
      parts.append("isValid \(Self.word(isValid)), internalError \(Self.word(internalError))")
    }
    return parts.isEmpty ? "any value" : parts.joined(separator: ", ")
  }

  /// The message as a question for `regproc routes decide`, after a stage: one line of JSON.
  func question(after stage: String) -> String {
    func json(_ value: FieldValue) -> String {
      switch value {
      case .text(let text): jsonText(text)
      case .bool(let truth): truth ? "true" : "false"
      case .int(let number): String(number)
      case .null, .absent: "null"
      }
    }
    var tags: [String] = []
    var fields: [String] = []
    var address = "null"
    for (subject, value) in values {
      switch (subject, value) {
      case (.tag, .absent): break
      case (.tag(let name), _): tags.append("\(jsonText(name)):\(json(value))")
      case (.field(MessageField.address.rawValue), .absent): break
      case (.field(MessageField.address.rawValue), _): address = "{\"address\":\(json(value))}"
      case (.field(MessageField.process.rawValue), _), (.field(MessageField.rid.rawValue), _): break
      case (.field(let name), _): fields.append(",\(jsonText(name)):\(json(value))")
      }
    }
    // No route asks for the RID; a message needs one.
    let rid = field(MessageField.rid.rawValue)
    return "{\"after\":\(jsonText(stage)),\"message\":{\"reg_type\":\(jsonText(process)),"
      + "\"rid\":\(rid == .null ? "\"10001100010000120250101000000\"" : json(rid)),\"isValid\":\(json(isValid)),"
      + "\"internalError\":\(json(internalError)),\"messageBusAddress\":\(address),"
      + "\"tags\":{\(tags.joined(separator: ","))}\(fields.joined())}}"
  }
}

/// Text as a JSON string.
func jsonText(_ text: String) -> String {
  var out: [UInt8] = []
  JSONWriter.append(text, to: &out)
  return String(decoding: out, as: UTF8.self)
}
