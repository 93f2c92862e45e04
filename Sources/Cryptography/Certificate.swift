import COpenSSL
import Glibc
import System

/// An X.509 certificate with an RSA key. Reading one checks no chain and no dates: who is trusted is configured by key.
public final class Certificate: Sendable {
  /// The certificate's bytes.
  public let der: [UInt8]
  /// SHA-256 of the DER: how MOSIP names the key that something is encrypted for (docs/upstream/packet-and-crypto.md#19-packet-encryption).
  public let thumbprint: [UInt8]
  /// The subject's key.
  public let publicKey: RSAPublicKey
  /// The subject on one line, e.g. `CN=regproc`.
  public let subject: String
  /// The first moment of validity.
  public let notBefore: Instant
  /// The last moment of validity.
  public let notAfter: Instant

  /// Takes what is needed out of an X509, which the caller frees.
  private init(x509: OpaquePointer) throws {
    der = try Cryptography.der { i2d_X509(x509, $0) }
    thumbprint = Hash.sha256(der)
    guard let key = X509_get_pubkey(x509) else {
      throw CryptographyError.openSSL(.badCertificate, "a certificate without a readable key")
    }
    publicKey = try RSAPublicKey(owning: key)
    subject = try withMemoryBIO { bio in
      X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0, regproc_name_rfc2253)
      return String(decoding: bytes(of: bio), as: UTF8.self)
    }
    notBefore = try Self.moment(X509_get0_notBefore(x509))
    notAfter = try Self.moment(X509_get0_notAfter(x509))
  }

  /// Reads DER.
  /// - Throws: `CryptographyError` `badCertificate`, or `badKey` if its key is not RSA of at least 2048 bits.
  public convenience init(der: [UInt8]) throws {
    let x509 = der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
      var at = bytes.baseAddress
      return d2i_X509(nil, &at, bytes.count)
    }
    guard let x509 else { throw CryptographyError.openSSL(.badCertificate, "no certificate in DER") }
    defer { X509_free(x509) }
    try self.init(x509: x509)
  }

  /// Reads the first certificate of a PEM text.
  /// - Throws: as `init(der:)`.
  public convenience init(pem: String) throws {
    let x509 = try withReadBIO(Array(pem.utf8)) { PEM_read_bio_X509($0, nil, noPassword, nil) }
    guard let x509 else { throw CryptographyError.openSSL(.badCertificate, "no certificate in PEM") }
    defer { X509_free(x509) }
    try self.init(x509: x509)
  }

  /// Reads PEM or DER, whichever it is.
  /// - Throws: as `init(der:)`.
  public convenience init(bytes: [UInt8]) throws {
    if bytes.first == 0x30 {
      try self.init(der: bytes)
    } else {
      try self.init(pem: String(decoding: bytes, as: UTF8.self))
    }
  }

  /// Makes a certificate that signs itself, for the embedded platform and for tests.
  /// - Throws: `CryptographyError` `internal`.
  public static func selfSigned(
    for key: RSAPrivateKey, commonName: String, organization: String? = nil, from notBefore: Instant = .now,
    days: Int = 3650
  ) throws -> Certificate {
    guard let x509 = X509_new() else { throw CryptographyError.openSSL(.internal, "no memory") }
    defer { X509_free(x509) }
    let start = Int(notBefore.milliseconds / 1000)
    // 127 random bits: positive, at most 16 bytes, and unique (RFC 5280, 4.1.2.2).
    var serial = SecureRandom.bytes(16)
    serial[0] &= 0x7f
    let number = BN_bin2bn(serial, 16, nil)
    defer { BN_free(number) }
    let name = X509_get_subject_name(x509)
    var ok =
      X509_set_version(x509, 2) == 1 && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nil
      && ASN1_TIME_set(X509_getm_notBefore(x509), start) != nil
      && ASN1_TIME_set(X509_getm_notAfter(x509), start + days * 86_400) != nil
      && X509_set_pubkey(x509, key.key) == 1
    for (field, value) in [("O", organization), ("CN", commonName)] {
      guard let value else { continue }
      let text = Array(value.utf8)
      ok = ok && X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, text, Int32(text.count), -1, 0) == 1
    }
    ok = ok && X509_set_issuer_name(x509, name) == 1
    for (nid, value) in [
      (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "digitalSignature,keyEncipherment"),
    ] {
      guard let part = X509V3_EXT_conf_nid(nil, nil, nid, value) else {
        ok = false
        break
      }
      ok = ok && X509_add_ext(x509, part, -1) == 1
      X509_EXTENSION_free(part)
    }
    guard ok, X509_sign(x509, key.key, EVP_sha256()) > 0 else {
      throw CryptographyError.openSSL(.internal, "no certificate could be made")
    }
    return try Certificate(x509: x509)
  }

  /// The certificate as `CERTIFICATE` in PEM, with lines of 64 characters.
  public var pem: String {
    let text = Array(Encoding.base64(der).utf8)
    let lines = stride(from: 0, to: text.count, by: 64).map {
      String(decoding: text[$0..<min($0 + 64, text.count)], as: UTF8.self)
    }
    return "-----BEGIN CERTIFICATE-----\n" + lines.joined(separator: "\n") + "\n-----END CERTIFICATE-----\n"
  }

  private static func moment(_ time: UnsafePointer<ASN1_TIME>?) throws -> Instant {
    var civil = tm()
    guard let time, ASN1_TIME_to_tm(time, &civil) == 1 else {
      throw CryptographyError.openSSL(.badCertificate, "a certificate without dates")
    }
    return Instant(milliseconds: Int64(timegm(&civil)) * 1000)
  }
}
