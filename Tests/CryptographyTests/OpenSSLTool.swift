import Glibc
import System

/// The `openssl` command: independent of how our code calls libcrypto.
enum OpenSSLTool {
  /// A new folder under /tmp with the given files, removed after the closure.
  static func withFolder<T>(_ files: [String: [UInt8]], _ body: (String) throws -> T) throws -> T {
    let folder = "/tmp/regproc-crypto-\(SecureRandom.uuid())"
    mkdir(folder, 0o700)
    var names = Set(files.keys)
    defer {
      names.insert("out")
      for name in names { unlink("\(folder)/\(name)") }
      rmdir(folder)
    }
    for (name, content) in files {
      let file = fopen("\(folder)/\(name)", "w")!
      fwrite(content, 1, content.count, file)
      fclose(file)
    }
    return try body(folder)
  }

  /// What `openssl ARGUMENTS` writes to stdout, and its exit status. `@name` in the arguments is a file.
  static func run(_ arguments: String, _ files: [String: [UInt8]] = [:]) throws -> (output: [UInt8], status: Int32) {
    try withFolder(files) { folder in
      let command =
        "openssl "
        + arguments.split(separator: " ").map {
          $0.first == "@" ? "\(folder)/\($0.dropFirst())" : String($0)
        }.joined(separator: " ") + " 2>/dev/null"
      let pipe = popen(command, "r")!
      var output: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let count = fread(&buffer, 1, buffer.count, pipe)
        if count == 0 { break }
        output += buffer[..<count]
      }
      return (output, pclose(pipe))
    }
  }
}

/// The bytes of a base64 text that is known to be one.
func b64(_ text: String) -> [UInt8] { Encoding.bytes(base64: text)! }
