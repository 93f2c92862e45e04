import Glibc
import System

/// Takes a multipart body as it arrives: plain fields into memory, files to disk. Used by the daemon's thread alone.
struct Upload {
  /// Why a body is refused.
  enum UploadError: Error {
    case malformed
    case tooLarge
    case storage

    var status: Int {
      switch self {
      case .malformed: 400
      case .tooLarge: 413
      case .storage: 507
      }
    }
  }

  private let policy: MultipartPolicy
  private let folder: String
  private var parser: MultipartParser
  private var descriptor: Int32 = -1
  private(set) var parts: [Part] = []

  init(_ parser: MultipartParser, policy: MultipartPolicy, folder: String) {
    self.parser = parser
    self.policy = policy
    self.folder = folder
  }

  /// The files written so far.
  var files: [String] { parts.compactMap(\.file) }

  mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(UploadError) {
    let events: [MultipartParser.Event]
    do { events = try parser.feed(bytes) } catch { throw .malformed }
    for event in events {
      switch event {
      case .began(let head): try begin(head)
      case .data(let data): try append(data)
      case .ended: closeFile()
      }
    }
  }

  /// The end of the body: everything must be there.
  mutating func finish() throws(UploadError) {
    guard parser.isComplete else { throw .malformed }
  }

  /// Closes what is open and removes the files.
  mutating func discard() {
    closeFile()
    for file in files { unlink(file) }
    parts = []
  }

  private mutating func begin(_ head: MultipartParser.Head) throws(UploadError) {
    guard parts.count < policy.maxParts else { throw .tooLarge }
    var part = Part(name: head.name, contentType: head.contentType, size: 0)
    if let fileName = head.fileName {
      let path = "\(folder)/upload-\(SecureRandom.uuid())"
      descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard descriptor >= 0 else { throw .storage }
      part.fileName = Part.baseName(fileName)
      part.file = path
    }
    parts.append(part)
  }

  private mutating func append(_ data: [UInt8]) throws(UploadError) {
    let last = parts.count - 1
    parts[last].size += data.count
    guard parts[last].file != nil else {
      guard parts[last].size <= policy.maxFieldBytes else { throw .tooLarge }
      parts[last].bytes += data
      return
    }
    guard parts[last].size <= policy.maxFileBytes else { throw .tooLarge }
    var written = 0
    while written < data.count {
      let count = data.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, $0.count - written) }
      if count > 0 { written += count } else if errno != EINTR { throw .storage }
    }
  }

  private mutating func closeFile() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }
}
