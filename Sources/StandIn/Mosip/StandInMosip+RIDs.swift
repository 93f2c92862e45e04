import HTTP
import JSON
import StageKit
import System

/// The endpoint of the RID generator.
extension StandInMosip {
  var ridEndpoints: [Endpoint] {
    let services = services
    return [
      endpoint("GET", "/v1/ridgenerator/generate/rid/{center}/{machine}") { request in
        let rid = try await services.rids.next(
          centerId: request.parameters["center"] ?? "", machineId: request.parameters["machine"] ?? "")
        return Self.done(["rid": .string(rid.text)])
      }
    ]
  }
}
