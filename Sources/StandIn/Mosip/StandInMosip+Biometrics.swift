import JSON
import Registration
import System

/// Records of captures as packet manager and identity repository answer them.
extension StandInMosip {
  /// The label of `operationsData` that holds the name of an operator's file, and that file.
  static let operators = [
    "officerBiometricFileName": "officer_bio_cbeff", "supervisorBiometricFileName": "supervisor_bio_cbeff",
  ]

  /// A record as upstream's programs write it as JSON: kinds by the names of their constants, bytes as base64, what is not there as null.
  static func json(_ record: BiometricRecord) -> JSONValue {
    let segments: [JSONValue] = record.segments.map { segment in
      [
        "version": .null, "cbeffversion": .null, "birInfo": ["creator": .null, "integrity": false],
        "bdbInfo": [
          "format": ["organization": "Mosip", "type": "7"], "type": [.string(constant(segment.type))],
          "subtype": .array(segment.subtypes.map { .string($0) }), "quality": .null,
        ], "bdb": .string(Encoding.base64(segment.data)), "sb": .string(Encoding.base64(segment.signature)), "birs": .null,
        "sbInfo": .null, "others": segment.others.map(object) ?? .null,
      ]
    }
    return ["version": .null, "cbeffversion": .null, "birInfo": .null, "segments": .array(segments), "others": [:]]
  }

  /// `EXCEPTION_PHOTO` for `ExceptionPhoto`.
  private static func constant(_ type: String) -> String {
    var out = ""
    for letter in type {
      if letter.isUppercase, out.last?.isLowercase == true { out += "_" }
      out.append(letter)
    }
    return out.uppercased()
  }

  /// A record as the CBEFF file that it was read from, in effect.
  static func file(_ record: BiometricRecord) -> [UInt8] {
    func escaped(_ text: String) -> String {
      text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
    }
    let segments = record.segments.map { segment in
      let others = segment.others.map { others in
        "<others>"
          + others.sorted { $0.key < $1.key }.map { "<entry key=\"\(escaped($0.key))\">\(escaped($0.value))</entry>" }.joined()
          + "</others>"
      }
      return """
        <BIR><BIRInfo><Integrity>false</Integrity></BIRInfo><BDBInfo><Format><Organization>Mosip</Organization><Type>7</Type></Format>\
        <Type>\(segment.type)</Type><Subtype>\(segment.subtypes.joined(separator: " "))</Subtype></BDBInfo>\
        <BDB>\(Encoding.base64(segment.data))</BDB><SB>\(Encoding.base64(segment.signature))</SB>\(others ?? "")</BIR>
        """
    }
    return Array("<BIR xmlns=\"\(CBEFF.namespace)\"><BIRInfo><Integrity>false</Integrity></BIRInfo>\(segments.joined())</BIR>".utf8)
  }
}
