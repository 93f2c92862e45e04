import Glibc

/// A process, described so that others of its machine can tell whether it still runs.
public struct ProcessIdentity: Sendable, Hashable {
  /// The name of its host.
  public var host: String
  /// Its id.
  public var id: Int
  /// The start of the machine and the namespace that the id counts in; empty where they cannot be read.
  public var machine: String
  /// When it began, in ticks since the machine's start: an id is given again, but not with the same beginning.
  public var began: Int

  /// A process of any machine.
  public init(host: String, id: Int, machine: String, began: Int) {
    (self.host, self.id, self.machine, self.began) = (host, id, machine, began)
  }

  /// This process.
  public static let own = ProcessIdentity(
    host: hostName, id: Int(getpid()), machine: ownMachine, began: beginning(of: Int(getpid())) ?? 0)

  /// The name of this host; empty when it has none.
  public static var hostName: String {
    var name = [UInt8](repeating: 0, count: 256)
    let isKnown = name.withUnsafeMutableBytes {
      gethostname($0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count - 1) == 0
    }
    return isKnown ? String(decoding: name.prefix { $0 != 0 }, as: UTF8.self) : ""
  }

  /// True for a process of this machine that runs no more. Of another machine's, or one in another container, nothing is known: false.
  public var isGone: Bool {
    !machine.isEmpty && machine == Self.own.machine && Self.beginning(of: id) != began
  }

  private static var ownMachine: String {
    var space = [UInt8](repeating: 0, count: 256)
    let length = space.withUnsafeMutableBytes {
      readlink("/proc/self/ns/pid", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    let boot = text(of: "/proc/sys/kernel/random/boot_id").filter { !$0.isWhitespace }
    guard length > 0, !boot.isEmpty else { return "" }
    return boot + "/" + String(decoding: space.prefix(length), as: UTF8.self)
  }

  /// Field 22 of proc_pid_stat(5); nil for a process that is not there, or that nobody has waited for yet.
  private static func beginning(of process: Int) -> Int? {
    let stat = text(of: "/proc/\(process)/stat")
    // The program's name, in parentheses, may hold anything.
    guard let name = stat.lastIndex(of: ")") else { return nil }
    let fields = stat[stat.index(after: name)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
    return Int(fields[19])
  }

  private static func text(of file: String) -> String {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
