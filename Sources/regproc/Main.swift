import Glibc

@main
struct Main {
  static func main() async {
    // Before any key is read.
    CrashTraces.forbid()
    // Nothing stays on the main thread: an actor hop from here costs hundreds of times more than one between the pool's threads.
    exit(await start())
  }

  nonisolated private static func start() async -> Int32 {
    signal(SIGPIPE, SIG_IGN)
    let environment = ProcessEnvironment.read()
    let around = Surroundings(
      console: Console(environment: environment), environment: environment,
      program: Files.linkTarget("/proc/self/exe") ?? CommandLine.arguments.first ?? "regproc")
    return await Commands.run(Array(CommandLine.arguments.dropFirst()), around)
  }
}
