import Registration

/// CBEFF files as packets and identities hold them.
enum CaptureSample {
  static let finger = """
    <BIR><BIRInfo><Integrity>false</Integrity></BIRInfo><BDBInfo><Format><Organization>Mosip</Organization><Type>7</Type></Format><Type>Finger</Type><Subtype>Left IndexFinger</Subtype></BDBInfo><BDB>-_8B</BDB>\
    <SB>aC4ucw==</SB><others><entry key="EXCEPTION">false</entry><entry key="PAYLOAD">{"a":"&lt;&amp;"}</entry></others></BIR>
    """
  static let face = """
    <BIR><BIRInfo><Integrity>false</Integrity></BIRInfo><BDBInfo><Format><Organization>Mosip</Organization><Type>7</Type></Format><Type>Face</Type></BDBInfo><BDB>BAUG</BDB></BIR>
    """
  private static let photo = """
    <BIR><BIRInfo><Integrity>false</Integrity></BIRInfo><BDBInfo><Format><Organization>Mosip</Organization><Type>7</Type></Format><Type>ExceptionPhoto</Type></BDBInfo><others><entry key="EXCEPTION">true</entry></others></BIR>
    """

  static func file(_ captures: String...) -> [UInt8] {
    Array(#"<BIR xmlns="\#(CBEFF.namespace)"><BIRInfo><Integrity>false</Integrity></BIRInfo>\#(captures.joined())</BIR>"#.utf8)
  }
  static let file = file(finger, face, photo)

  /// What is in a record, to be compared.
  static func parts(_ record: BiometricRecord) -> [[String]] {
    record.segments.map { segment in
      [
        segment.type, segment.subtypes.joined(separator: "+"), "\(segment.data)",
        String(decoding: segment.signature, as: UTF8.self),
      ]
        + (segment.others.map { $0.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" } } ?? ["none"])
    }
  }

  /// The parts of `file`.
  static let expected = [
    ["Finger", "Left+IndexFinger", "[251, 255, 1]", "h..s", "EXCEPTION=false", #"PAYLOAD={"a":"<&"}"#],
    ["Face", "", "[4, 5, 6]", "", "none"], ["ExceptionPhoto", "", "[]", "", "EXCEPTION=true"],
  ]
}
