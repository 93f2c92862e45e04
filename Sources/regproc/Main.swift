import RegprocMain

@main
struct Main {
  static func main() async { await RegprocMain.run() }
}
