import HTTP
import System

/// What `regproc doctor` says of processes that run on the data's folder.
enum DoctorPipeline {
  static let check = DoctorCheck("pipeline", remedy: "does it run, and does it stop just now?") { doctor, report in
    for folder in [doctor.settings.data, doctor.settings.data + "/demo"] {
      guard let note = RunNote.read(in: folder) else { continue }
      do {
        let client = Client(try doctor.settings.adminClient())
        defer { client.close() }
        var answer = try await client.send(ClientRequest(url: note.admin + "/actuator/health"))
        // Bound beyond loopback it tells its health to holders of a role alone, but to everybody whether it is ready.
        if answer.status == 401 { answer = try await client.send(ClientRequest(url: note.admin + "/actuator/health/readiness")) }
        let words = "process \(note.process) at \(note.url) says"
        if answer.status == 200 { report.good("\(words) UP") } else { report.bad("\(words) DOWN") }
      } catch {
        report.failed("process \(note.process) at \(note.admin) does not answer: \(error)")
      }
    }
  }
}
