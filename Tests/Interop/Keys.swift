import Cryptography
import System

/// Key pairs of the two sides, in files of a folder: `{name}.key`, `{name}.crt`.
enum Keys {
  /// Makes a pair. The private key is PKCS#8, which all sides read.
  @discardableResult
  static func make(_ name: String, bits: Int = 2048, in folder: String) throws -> (
    key: RSAPrivateKey, certificate: Certificate
  ) {
    let key = try RSAPrivateKey.generate(bits: bits)
    let certificate = try Certificate.selfSigned(for: key, commonName: name)
    Tool.write(Array(try key.pem().utf8), to: "\(folder)/\(name).key")
    Tool.write(Array(certificate.pem.utf8), to: "\(folder)/\(name).crt")
    return (key, certificate)
  }
}
