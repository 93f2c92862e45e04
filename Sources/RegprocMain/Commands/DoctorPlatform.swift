import ObjectStores
import HTTP
import MosipPlatform
import EmbeddedPlatform
import StageKit
import System

/// What `regproc doctor` says of the platform services.
enum DoctorPlatform {
  static func check(_ settings: Settings, _ say: (String, Bool, String) -> Void) async {
    if settings.usesMosip {
      do {
        let mosip = try settings.mosip()
        let http = try PlatformChoice.http(settings, caFile: "mosip.ca-file")
        for found in await MosipPlatform.reachability(mosip, http: http, clock: SystemClock()) {
          let isLeftOut = !found.isGood && found.service.isOptional
          say(
            "mosip", found.isGood || isLeftOut,
            "\(found.service.name) at \(Showing.withoutSecretParts(found.url)) \(found.words)\(isLeftOut ? " (only some settings of stages need it)" : "")"
          )
        }
      } catch {
        say("mosip", false, "\(error)")
      }
    } else {
      say("platform", true, "embedded in the process")
    }
    guard settings.usesS3 else { return }
    do {
      let s3 = try settings.s3()
      let store = S3ObjectStore(s3, http: try PlatformChoice.http(settings, caFile: "s3.ca-file"))
      let (isGood, words) = await store.reachability()
      say("s3", isGood, "\(Showing.withoutSecretParts(s3.url)) \(words)")
    } catch {
      say("s3", false, "\(error)")
    }
  }
}
