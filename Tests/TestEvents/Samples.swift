import Foundation

/// Other people's events, read where they lie and never copied.
package enum Samples {
  /// Why they are missing.
  package static let hint = "the samples are not at ../shared/samples; set REGPROC_SHARED to the folder that has them"
  private static let folder: URL? = {
    let given = ProcessInfo.processInfo.environment["REGPROC_SHARED"]
    let places = given.map { [$0] } ?? ["../shared", "../../shared"]
    return places.map { URL(filePath: $0).appending(path: "samples") }.first {
      FileManager.default.fileExists(atPath: $0.appending(path: "opencrvs-birth-with-aid.json").path)
    }
  }()
  /// Whether they are there.
  package static var areThere: Bool { folder != nil }
  /// One of them by name.
  /// - Throws: when it cannot be read.
  package static func bytes(_ name: String) throws -> [UInt8] {
    guard let folder else { throw CocoaError(.fileNoSuchFile) }
    return Array(try Data(contentsOf: folder.appending(path: name + ".json")))
  }
}
