import JSON

/// How a change is laid over a stored identity, as MOSIP's repository does it.
enum IdentityMerge {
  /// The identity that a change makes.
  ///
  /// Lists of texts (`simpleType`) merge by language: a language that the change names is replaced or added, the others stay. Everything
  /// else that the change names is replaced whole. Null and absent delete nothing, so no change takes a field away.
  static func merged(_ change: JSONObject, over stored: JSONObject) -> JSONObject {
    var out = stored
    for member in change where !member.value.isNull {
      if let old = stored[member.key]?.array, let new = member.value.array, let texts = byLanguage(new, over: old) {
        out[member.key] = .array(texts)
      } else {
        out[member.key] = member.value
      }
    }
    return out
  }

  /// The names of the fields that differ.
  static func changed(from old: JSONObject, to new: JSONObject) -> Set<String> {
    Set(new.filter { old[$0.key] != $0.value }.map(\.key)).union(old.filter { new[$0.key] == nil }.map(\.key))
  }

  /// Nil when one of the lists is none of texts with languages.
  private static func byLanguage(_ change: [JSONValue], over stored: [JSONValue]) -> [JSONValue]? {
    guard (change + stored).allSatisfy({ $0["language"]?.string != nil }) else { return nil }
    var out = stored
    for text in change {
      if let place = out.firstIndex(where: { $0["language"]?.string == text["language"]?.string }) {
        out[place] = text
      } else {
        out.append(text)
      }
    }
    return out
  }
}
