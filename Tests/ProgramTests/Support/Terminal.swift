import Glibc
import JSON

/// `regproc` on a terminal: Python's pty module is its terminal, and types what a person would once something stands there.
enum Terminal {
  /// What is typed, once a text stands there that was not there at the step before.
  struct Step {
    var until: String
    var type: String
  }

  private static let python: String? = {
    let venv = getenv("REGPROC_TEST_VENV").map { String(cString: $0) } ?? Program.repository + "/.build/venv"
    let path = venv + "/bin/python3"
    return access(path, X_OK) == 0 ? path : nil
  }()

  /// Whether there is a Python; when not, the reader of the log is told so, since a skipped proof must not look like one.
  static let isThere: Bool = {
    if python != nil { return true }
    let words =
      "NOT TESTED: there is no Python in REGPROC_TEST_VENV, so nothing runs on a terminal. deploy/scripts/test-venv installs it.\n"
    _ = Array(words.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    return false
  }()

  /// Runs it to its end. Standard output and standard error are what the terminal got; the code is 128 and the signal's number for one that a signal
  /// ended, and 200 when a step's text never came.
  static func run(_ words: [String], _ steps: [Step], environment: [String: String] = [:]) async throws -> Program.Ended {
    let plan = JSONValue.array(steps.map { ["until": .string($0.until), "type": .string($0.type)] })
    return try await Program(
      ["-c", script, String(decoding: plan.encoded(), as: UTF8.self), Program.regproc] + words, program: python ?? "",
      environment: ["TERM": "xterm"].merging(environment) { $1 }
    ).ended(within: 300)
  }

  private static let script = """
    import json, os, pty, select, sys, time
    steps, words = json.loads(sys.argv[1]), sys.argv[2:]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(words[0], words)
    said, place, end = b"", 0, time.monotonic() + 240
    def more():
        global said
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            os.kill(child, 9)
            return False
        try:
            part = os.read(terminal, 65536)
        except OSError:
            return False
        said += part
        return bool(part)
    missing = False
    for step in steps:
        text = step["until"].encode()
        while not missing and said.find(text, place) < 0:
            missing = not more()
        if missing:
            break
        place = said.find(text, place) + len(text)
        os.write(terminal, step["type"].encode())
    while more():
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.buffer.write(said)
    sys.exit(200 if missing else status if status >= 0 else 128 - status)
    """

  /// What stands on the screen at the end, a line each: a carriage return goes back to a line's beginning, where ESC [ K clears it.
  static func screen(_ text: String) -> [String] {
    text.replacing("\r\n", with: "\n").split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.split(separator: "\r\u{1b}[K", omittingEmptySubsequences: false).last.map(String.init) ?? ""
    }
  }
}
