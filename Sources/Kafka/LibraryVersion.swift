import System
import CRdKafka

/// The version of librdkafka that is loaded, and what is known to be wrong with it.
public struct LibraryVersion: Sendable, Hashable, CustomStringConvertible {
  /// As the library numbers itself: `0x020601ff` is 2.6.1.
  public let number: Int

  /// A version by the library's number.
  public init(number: Int) { self.number = number }

  /// The one that this process has loaded.
  public static var loaded: LibraryVersion { LibraryVersion(number: Int(rd_kafka_version())) }

  /// E.g. `2.8.0`.
  public var description: String { "\(number >> 24 & 0xff).\(number >> 16 & 0xff).\(number >> 8 & 0xff)" }

  /// Something that this version does wrong.
  public struct Problem: Sendable, Hashable {
    /// It does not work, whatever else is right; otherwise it may go wrong.
    public let isFault: Bool
    /// What is wrong, and what to do.
    public let words: String
  }

  /// What is wrong with the version under librdkafka's properties.
  public func problems(with properties: [String: String]) -> [Problem] {
    var found: [Problem] = []
    let mechanisms = ["sasl.mechanisms", "sasl.mechanism"].compactMap { properties[$0]?.uppercased() }
    if number < 0x0206_01ff, mechanisms.contains(where: { $0.contains("SCRAM") }) {
      found.append(
        Problem(
          isFault: true,
          words: "librdkafka \(self) cannot log on to Kafka 4 by SASL SCRAM (it can from 2.6.1 on): use 2.8, or another mechanism"))
    }
    if number >= 0x020a_00ff {
      found.append(
        Problem(
          isFault: false,
          words: "with librdkafka \(self) a producer's call may never come back after a broker's death (confluentinc/librdkafka "
            + "issues 5511 and 5456): use 2.8"))
    }
    return found
  }
}

extension KafkaSettings {
  /// What is wrong with the loaded librdkafka under these settings.
  public var libraryProblems: [LibraryVersion.Problem] {
    LibraryVersion.loaded.problems(
      with: properties.merging(consumerProperties) { first, _ in first }.merging(producerProperties) { first, _ in first })
  }
}
