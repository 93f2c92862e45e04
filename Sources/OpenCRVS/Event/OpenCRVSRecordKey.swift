import Cryptography
import Registration

/// The keys of records, made so that any text an event brings is harmless and fits upstream's varchar(64).
package enum OpenCRVSRecordKey {
  /// The text itself, or its SHA-256 when it is longer than 64 characters or not plain.
  package static func of(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { $0 > 32 && $0 < 127 }
    return plain && text.utf8.count <= 64 ? text : Hash.sha256Hex(Array(text.utf8))
  }

  /// Whether a text is a RID (docs/upstream/packet-and-crypto.md#42-rid).
  package static func isRID(_ text: String) -> Bool { (try? RID(text)) != nil }

  /// The same as the name of a container of the object store, which may be a folder: letters, digits and hyphens, else
  /// the SHA-256.
  package static func container(_ key: String) -> String {
    let isPlain = key.utf8.allSatisfy {
      (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
    }
    return isPlain && !key.isEmpty && key.utf8.count <= 64 ? key : Hash.sha256Hex(Array(key.utf8))
  }

  /// The key of an event's work: a birth's is the record's id, as upstream has it; a death's adds its kind, since a record has one, and
  /// what tells one from that before its revocation; all others add kind and version, which is the Task's own or else the moment of the
  /// change.
  package static func of(_ event: OpenCRVSEvent) -> String {
    let id = event.bundle.compositionId
    switch EventKind(topic: event.topic) {
    case .birth: return of(id)
    case .death: return of("\(id):\(EventKind.death.rawValue)" + (event.bundle.task.ourVersion.map { ":\($0)" } ?? ""))
    case let kind:
      let version = event.bundle.task.version ?? event.bundle.task.lastModified ?? event.digest
      return of("\(id):\(kind?.rawValue ?? event.topic):\(version)")
    }
  }
}
