import StageTesting
import Cryptography
import Registration
import System

/// Captures as devices make and sign them, in the file that packets carry.
enum Captures {
  /// A device's key with the certificate that its tokens name.
  struct Device: Sendable {
    let key: RSAPrivateKey
    let certificate: Certificate

    init() {
      key = try! RSAPrivateKey.generate()
      certificate = try! Certificate.selfSigned(for: key, commonName: "device")
    }
  }
  static let device = Device()

  /// A signed capture. ` exception` behind the kind makes it one that stands for what could not be captured.
  static func segment(_ kind: String, data: [UInt8] = [1, 2, 3], device: Device = device, digitalIdOf other: Device? = nil)
    -> BiometricSegment
  {
    let isException = kind.hasSuffix(" exception")
    let digitalId = try! JWS.sign(Array("{}".utf8), with: (other ?? device).key, certificates: [(other ?? device).certificate])
    let template = #"{"digitalId":"\#(digitalId)","bioType":"\#(kind)","bioValue":"<bioValue>"}"#
    let payload = template.replacing("<bioValue>", with: Encoding.base64URL(data))
    let signature = try! JWS.sign(Array(payload.utf8), with: device.key, certificates: [device.certificate], detached: true)
    return BiometricSegment(
      type: isException ? String(kind.dropLast(10)) : kind, subtypes: kind == "Finger" ? ["Left", "Thumb"] : [],
      data: isException ? [] : data, signature: isException ? [] : Array(signature.utf8),
      others: ["EXCEPTION": isException ? "true" : "false", "PAYLOAD": template])
  }

  /// The CBEFF file of captures.
  static func file(_ segments: [BiometricSegment]) -> PacketDocument {
    let parts = segments.map { segment in
      let entries = (segment.others ?? [:]).sorted { $0.key < $1.key }.map {
        #"<entry key="\#($0.key)">\#($0.value.replacing("&", with: "&amp;").replacing("<", with: "&lt;"))</entry>"#
      }
      return "<BIR><BIRInfo><Integrity>false</Integrity></BIRInfo><BDBInfo>"
        + "<Format><Organization>Mosip</Organization><Type>7</Type></Format><Type>\(segment.type)</Type></BDBInfo><BDB>\(Encoding.base64(segment.data))</BDB>"
        + "<SB>\(Encoding.base64(segment.signature))</SB>"
        + (segment.others == nil ? "" : "<others>\(entries.joined())</others>") + "</BIR>"
    }
    let text =
      #"<BIR xmlns="\#(CBEFF.namespace)"><BIRInfo><Integrity>false</Integrity></BIRInfo>\#(parts.joined())</BIR>"#
    return PacketDocument(content: Array(text.utf8), type: "", format: "cbeff")
  }
}
