import StageKit
import System

/// An S3 bucket service as object store. The description shows no key.
public struct S3Settings: Sendable, CustomStringConvertible {
  /// The URL of the service, e.g. `http://minio.minio:9000`; buckets are addressed by path.
  public var url: String
  /// The region that signatures name.
  public var region: String
  /// The access key's id.
  public var accessKey: String
  /// The secret key.
  public var secretKey: String
  /// Put before every bucket's name (upstream's `object.store.s3.bucket-name-prefix`).
  public var bucketPrefix: String
  /// Whether an account is a bucket and the container the first part of a key, as MOSIP's packet manager and registration processor have it
  /// (upstream's `object.store.s3.use.account.as.bucketname`). Otherwise a container is a bucket.
  public var accountIsBucket: Bool
  /// How the service is called.
  public var calling: CallSettings

  /// Settings.
  public init(
    url: String, region: String = "us-east-1", accessKey: String, secretKey: String, bucketPrefix: String = "",
    accountIsBucket: Bool = true, calling: CallSettings = CallSettings(maxAnswerBytes: 128 << 20)
  ) {
    self.url = url
    self.region = region
    self.accessKey = accessKey
    self.secretKey = secretKey
    self.bucketPrefix = bucketPrefix
    self.accountIsBucket = accountIsBucket
    self.calling = calling
  }
  public var description: String { "S3 at \(Showing.withoutSecretParts(url))" }
}
