import Glibc

/// The yardsticks of docs/performance.md.
@main
struct Main {
  static let usage = """
    usage: regproc-bench engine --broker NOIDA-DB [--messages N] [--batch N] [--rounds N] [--lanes N] [--journal]
                                [--only engine|forwarder] [--producer NAME=VALUE]
           regproc-bench start --broker NOIDA-DB --regproc PROGRAM [--home FOLDER] [--stage NAME] [--rounds N] [--idle SECONDS]
           regproc-bench latency --broker NOIDA-DB [--messages N]
           regproc-bench routes --regproc PROGRAM --routes FILE [--flows N] [--messages N] [--rounds N]
           regproc-bench packet [--size BYTES] [--rounds N] [--uins N]
           regproc-bench operations [--hops N] [--rounds N] [--filled FOLDER]
           regproc-bench replays [--registrations N] [--rounds N]
           regproc-bench growth --regproc PROGRAM [--home FOLDER] [--births N] [--broker NOIDA-DB]

    engine  a stage that passes everything on, against a C program that forwards the same records in the same
            transactions on the same broker, in turns
    start   from process start to the first message taken, and what a stage at rest costs
    latency one record put on a topic and read, on the embedded broker and over TCP
    routes  a route file checked, and messages decided by it
    packet  a packet written and read against libcrypto and zlib in plain C, in turns; and UINs made
    operations  a registration looked up, and lists of them, on a journal of so many hops
    replays registrations that failed, run again as one job
    growth  births with nothing kept: the rows that are left and the memory; exit code 1 when something piles up

    """

  static func main() {
    do {
      let options = try Options(Array(CommandLine.arguments.dropFirst()))
      switch options.command {
      case "engine": try EngineBench(options).run()
      case "start": try StartBench(options).run()
      case "packet": try PacketBench(options).run()
      case "routes": try RoutesBench(options).run()
      case "operations": try OperationsBench(options).run()
      case "replays": try ReplayBench(options).run()
      case "growth": try GrowthBench(options).run()
      case "latency": try LatencyBench(options).run()
      default: throw BenchError("unknown command \(options.command)")
      }
    } catch {
      let text = Array("regproc-bench: \(error)\n\(usage)".utf8)
      _ = write(2, text, text.count)
      exit(1)
    }
  }
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) {
  print(line)
  fflush(nil)
}

/// Why a measurement could not be made.
struct BenchError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The words of the command line: a command, then `--name value` or a bare `--name`.
struct Options {
  let command: String
  private var values: [String: String] = [:]

  init(_ words: [String]) throws {
    guard let command = words.first else { throw BenchError("no command") }
    self.command = command
    var rest = words.dropFirst()
    while let word = rest.popFirst() {
      guard word.hasPrefix("--") else { throw BenchError("unexpected \(word)") }
      let isBare = rest.first?.hasPrefix("--") ?? true
      values[String(word.dropFirst(2))] = isBare ? "" : rest.popFirst()
    }
  }

  func has(_ name: String) -> Bool { values[name] != nil }

  func text(_ name: String) throws -> String {
    guard let value = values[name], !value.isEmpty else { throw BenchError("--\(name) is missing") }
    return value
  }

  func number(_ name: String, _ standard: Int) throws -> Int {
    guard let value = values[name] else { return standard }
    guard let number = Int(value), number > 0 else { throw BenchError("--\(name) needs a number above zero") }
    return number
  }
}
