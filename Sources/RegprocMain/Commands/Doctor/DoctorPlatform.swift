import HTTP
import MosipPlatform
import ObjectStores
import EmbeddedPlatform
import StageKit
import System

/// What `regproc doctor` says of the platform services.
enum DoctorPlatform {
  static let scanner = DoctorCheck("scanner", remedy: "is clamd up, and may this user reach it?") { doctor, report in
    let scanner = await doctor.settings.virusScanner.state()
    if let fault = scanner.fault {
      report.failed("\(doctor.settings.shown("virus-scanner") ?? ""): \(fault)")
    } else {
      report.good(scanner.version ?? "none configured: packets are not scanned for viruses (virus-scanner)")
    }
  }

  static let services = DoctorCheck("mosip", remedy: "the settings below `mosip` say where and how it is called") {
    doctor, report in
    guard doctor.settings.usesMosip else { return report.good("embedded in the process", as: "platform") }
    do {
      let mosip = try doctor.settings.mosip()
      let http = try PlatformChoice.http(doctor.settings, caFile: "mosip.ca-file")
      for found in await MosipPlatform.reachability(mosip, http: http, clock: SystemClock()) {
        let words = "\(found.service.name) at \(Showing.withoutSecretParts(found.url)) \(found.words)"
        if found.isGood {
          report.good(words)
        } else if found.service.isOptional {
          report.good("\(words) (only some settings of stages need it)")
        } else {
          report.bad(words)
        }
      }
    } catch {
      report.failed("\(error)")
    }
  }

  static let objects = DoctorCheck("s3", remedy: "the settings below `s3` say where and how it is called") { doctor, report in
    guard doctor.settings.usesS3 else { return }
    do {
      let s3 = try doctor.settings.s3()
      let store = S3ObjectStore(s3, http: try PlatformChoice.http(doctor.settings, caFile: "s3.ca-file"))
      let (isGood, found) = await store.reachability()
      let words = "\(Showing.withoutSecretParts(s3.url)) \(found)"
      if isGood { report.good(words) } else { report.bad(words) }
    } catch {
      report.failed("\(error)")
    }
  }
}
