import CCurl
import CMicroHTTPD
import COpenSSL
import CPQ
import CProcess
import CRdKafka
import CUTF8Proc
import CYAML
import CZlib
import Glibc

/// The C libraries that this process runs on, as they tell their versions themselves.
enum LibraryVersions {
  /// A library and the version that was loaded.
  struct Library: Sendable {
    var name: String
    var version: String
  }

  /// All of them, in the order in which they are told.
  static var loaded: [Library] {
    let curl = curl_version_info(CURLVERSION_FIRST)?.pointee
    return [
      ("librdkafka", text(rd_kafka_version_str())),
      ("libmicrohttpd", text(MHD_get_version())),
      ("GnuTLS", gnuTLS),
      ("libcurl", text(curl?.version)),
      // Its TLS need not be the OpenSSL below: there are builds with others.
      ("libcurl's TLS", text(curl?.ssl_version)),
      ("libpq", postgres(Int(PQlibVersion()))),
      ("OpenSSL", text(OpenSSL_version(OPENSSL_VERSION_STRING))),
      ("libyaml", text(yaml_get_version_string())),
      ("zlib", text(zlibVersion())),
      ("utf8proc", text(regproc_utf8proc_version())),
      ("glibc", text(gnu_get_libc_version())),
    ].compactMap { name, version in version.map { Library(name: name, version: $0) } }
  }

  private static func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.map { String(cString: $0) } }

  /// `PQlibVersion` counts in two ways: 170009 is 17.9, 90624 was 9.6.24.
  static func postgres(_ number: Int) -> String {
    number >= 100_000
      ? "\(number / 10_000).\(number % 10_000)" : "\(number / 10_000).\(number / 100 % 100).\(number % 100)"
  }

  /// libmicrohttpd brings GnuTLS; we do not link it ourselves.
  private static var gnuTLS: String? {
    typealias Check = @convention(c) (UnsafePointer<CChar>?) -> UnsafePointer<CChar>?
    guard let symbol = dlsym(nil, "gnutls_check_version") else { return nil }
    // What the header of GnuTLS says of this function.
    return text(unsafeBitCast(symbol, to: Check.self)(nil))
  }
}
