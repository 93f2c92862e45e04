import Glibc
import StageKit
import Stages

/// The program `regproc`, for whoever makes one of their own with further stages (docs/writing-a-stage.md).
public enum RegprocMain {
  /// Runs the command that the program's arguments name, and ends the process with its exit code.
  /// - Parameter catalogue: the plugins that stages may name: the program's own, `Catalogue.plugins`, and further ones. Two of one name end
  ///   the process before anything starts.
  public static func run(catalogue: [any StagePlugin.Type] = Catalogue.plugins) async -> Never {
    // Before any key is read.
    CrashTraces.forbid()
    if let name = Plugins.install(catalogue) {
      Console(environment: ProcessEnvironment.read()).err(
        "regproc: two plugins are named \(name): a stage.yaml could mean either\n")
      exit(2)
    }
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
