import LateRegistration
import RegprocMain
import Stages

@main
struct Main {
  static func main() async { await RegprocMain.run(catalogue: Catalogue.plugins + [LateRegistration.self]) }
}
