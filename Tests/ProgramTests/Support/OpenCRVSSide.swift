import HTTP
import StandIn
import Synchronization

/// OpenCRVS as a pipeline in another process sees it: a stand-in with its endpoints open, and how the pipeline finds it.
final class OpenCRVSSide: Sendable {
  static let secret = "made-up-sha-secret"
  let standIn = StandInOpenCRVS(secret: OpenCRVSSide.secret)
  let url: String

  init() throws { url = try standIn.start() }

  /// Settings of the mediators' stages.
  var environment: [String: String] {
    [
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET": Self.secret,
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_OPENCRVS_URL": url + "/mosip-openhim-mediator",
      "REGPROC_STAGE_MOSIP_MEDIATOR_LOCATIONS_URL": url + "/location",
      "REGPROC_STAGE_MOSIP_MEDIATOR_LANG_CODE_MAPPING":
        "eng:eng|english|en,fra:french|fr|fra|fre,ara:ara|arabic|ar,amh:am|amh,ben:bn|ben,khm:km|khm,kan:kn|kan,spa:es|spa",
    ]
  }

  func stop() async { await standIn.stop() }

  /// Made-up births of a run of their own.
  static func births(_ count: Int, run: String) -> [SampleBirths.Birth] {
    var samples = SampleBirths(seed: 7, run: run, year: 2025)
    return samples.make(count)
  }
}
