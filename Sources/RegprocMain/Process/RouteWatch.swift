import Routing
import StageKit
import StageRuntime
import System

extension RouteWatch {
  /// Watches the route file of these stages; what is wrong with a version is shown once.
  convenience init(path: String, stages: StageFolder, engine: Engine, console: Console) {
    self.init(path: path, engine: engine) {
      do {
        let (routes, warnings) = try stages.routes(path)
        if routes.digest != engine.routes.digest { console.err(warnings.rendered(colour: console.errorsAreColoured)) }
        return .good(routes)
      } catch let problems as FileProblems {
        console.err(problems.rendered(colour: console.errorsAreColoured))
        let first = problems.problems.first { $0.severity == .error }
        return .bad(first.map { "\($0.file):\($0.position.line): \($0.message)" } ?? "the file has faults")
      } catch {
        return .bad("\(error)")
      }
    }
  }
}
