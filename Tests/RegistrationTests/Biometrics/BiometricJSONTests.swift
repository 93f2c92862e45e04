import JSON
import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct BiometricJSONTests {
  private func record(_ segments: String) throws -> BiometricRecord? {
    try BiometricRecord(json: try JSONValue.parse(Array(#"{"segments":\#(segments)}"#.utf8)))
  }

  @Test func `a record of the packet manager is read as its file would be`() throws {
    let record = try #require(
      try record(
        #"[{"birInfo":{"integrity":false},"bdbInfo":{"type":["FINGER"],"subtype":["Left","IndexFinger"],"format":{"type":"7"}},"bdb":"+/8B","sb":"aC4ucw==","others":{"EXCEPTION":"false","PAYLOAD":"{}","SPEC_VERSION":null}}]"#
      ))
    let segment = record.segments[0]
    #expect(segment.type == "Finger" && segment.subtypes == ["Left", "IndexFinger"] && segment.data == [0xFB, 0xFF, 1])
    #expect(segment.signature == Array("h..s".utf8) && segment.others == ["EXCEPTION": "false", "PAYLOAD": "{}"])
    #expect(!segment.isException && !"\(record)\(segment)".contains("PAYLOAD"))
  }

  @Test(arguments: [
    ("SCENT", "Scent"), ("DNA", "DNA"), ("EAR", "Ear"), ("FACE", "Face"), ("FINGER", "Finger"), ("FOOT", "Foot"), ("VEIN", "Vein"),
    ("HAND_GEOMETRY", "HandGeometry"), ("IRIS", "Iris"), ("RETINA", "Retina"), ("VOICE", "Voice"), ("GAIT", "Gait"),
    ("KEYSTROKE", "Keystroke"), ("LIP_MOVEMENT", "LipMovement"), ("SIGNATURE_SIGN", "SignatureSign"),
    ("EXCEPTION_PHOTO", "ExceptionPhoto"), ("Face", "Face"),
  ]) func `kinds are those of the file`(_ constant: String, _ type: String) throws {
    let segment = try record(#"[{"birInfo":{},"bdbInfo":{"type":["\#(constant)"],"format":{}}}]"#)?.segments.first
    #expect(segment?.type == type && segment?.isExceptionPhoto == (type == "ExceptionPhoto"))
  }

  @Test func `what is no record is none and a capture that lacks something is an error`() throws {
    for value in ["7", "{}", "[7]", #"[{"birInfo":"x"}]"#] { #expect(try record(value) == nil) }
    #expect(try BiometricRecord(json: []) == nil)
    #expect(try BiometricRecord(json: [:]) == nil)
    #expect(throws: CBEFFError.self) { try record(#"[{"birInfo":{}}]"#) }
    #expect(throws: CBEFFError.self) { try record(#"[{"birInfo":{},"bdbInfo":{"type":["NOSE"],"format":{}}}]"#) }
  }
}
