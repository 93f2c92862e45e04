import Glibc
import JSON
import StageKit
import System

/// The object store as a folder: `<folder>/<account>/<container>/<key>`. A put is written under another name, synced, renamed and its folder
/// synced: it is there in full or not at all, also after a power cut.
public struct FileObjectStore: ObjectStore {
  private let folder: String
  private let blocking: BlockingPool

  /// A store in a folder, which is made when it is missing.
  public init(folder: String, blocking: BlockingPool) {
    self.folder = folder
    self.blocking = blocking
  }

  public func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws {
    let path = path(account, container, key)
    try await blocking.run { try Self.write(bytes, to: path) }
  }

  public func put(_ objects: [StoredObject], account: String, container: String) async throws {
    let files = objects.flatMap { object in
      let path = path(account, container, object.key)
      // The metadata first: an object that can be seen has them.
      return [(path + Self.metadataSuffix, MemorySource(Self.encoded(object.metadata))), (path, MemorySource(object.bytes))]
    }
    try await blocking.run { try Self.write(files) }
  }

  public func get(account: String, container: String, key: String) async throws -> [UInt8]? {
    let path = path(account, container, key)
    return try await blocking.run { try Self.read(path) }
  }

  public func put(
    _ source: any ByteSource, metadata: [String: String], account: String, container: String, key: String
  ) async throws {
    let path = path(account, container, key)
    let metadata = Self.encoded(metadata)
    try await blocking.run { try Self.write([(path + Self.metadataSuffix, MemorySource(metadata)), (path, source)]) }
  }

  /// A large object stays in its file, which a later put replaces by another and never writes to.
  public func source(account: String, container: String, key: String) async throws -> (any ByteSource)? {
    let path = path(account, container, key)
    return try await blocking.run {
      guard let file = try Self.opened(path) else { return nil }
      do { return file.isSmall ? MemorySource(try file.bytes()) : file } catch { throw Self.failed("an object cannot be read") }
    }
  }

  public func exists(account: String, container: String, key: String) async throws -> Bool {
    let path = path(account, container, key)
    return try await blocking.run { Self.isFile(path) }
  }

  public func keys(account: String, container: String, prefix: String) async throws -> [String] {
    let root = "\(folder)/\(Self.escape(account))/\(Self.escape(container))"
    return try await blocking.run {
      var out: [String] = []
      Self.walk(root, "", &out)
      return out.filter { $0.hasPrefix(prefix) }.sorted()
    }
  }

  public func delete(account: String, container: String, key: String) async throws {
    let path = path(account, container, key)
    try await blocking.run {
      unlink(path)
      unlink(path + Self.metadataSuffix)
    }
  }

  /// Blocks one of its threads until all folders were looked at. An account's own folder stays.
  public func removeEmptyFolders(olderThan seconds: Double) async throws -> Int {
    let folder = folder
    let limit = Instant.now.advanced(bySeconds: -seconds)
    return try await blocking.run {
      Self.folders(in: folder).reduce(0) { sum, account in
        Self.folders(in: account).reduce(sum) { $0 + Self.removeEmpty($1, before: limit) }
      }
    }
  }

  public func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws {
    let path = path(account, container, key) + Self.metadataSuffix
    let bytes = Self.encoded(metadata)
    try await blocking.run { try Self.write(bytes, to: path) }
  }

  private static func encoded(_ metadata: [String: String]) -> [UInt8] {
    var object = JSONObject()
    for (name, value) in metadata.sorted(by: { $0.key < $1.key }) { object[name] = .string(value) }
    return JSONValue.object(object).encoded()
  }

  public func metadata(account: String, container: String, key: String) async throws -> [String: String]? {
    let path = path(account, container, key) + Self.metadataSuffix
    guard let bytes = try await blocking.run({ try Self.read(path) }) else { return nil }
    guard let object = (try? JSONValue.parse(bytes))?.object else {
      throw ServiceError(
        .refused, service: "object store", code: "RPR-OBJ-003", "the metadata of an object cannot be read")
    }
    var out: [String: String] = [:]
    for member in object { out[member.key] = member.value.string }
    return out
  }

  // MARK: names

  /// `%` begins an escape, so no key of a caller can end like this.
  private static let metadataSuffix = "%meta"
  private static let temporarySuffix = "%tmp-"

  private func path(_ account: String, _ container: String, _ key: String) -> String {
    let parts = key.split(separator: "/", omittingEmptySubsequences: false).map { Self.escape(String($0)) }
    return "\(folder)/\(Self.escape(account))/\(Self.escape(container))/\(parts.joined(separator: "/"))"
  }

  /// A name as a file name: what could leave the folder or clash with our own names is written as `%XX`.
  package static func escape(_ name: String) -> String {
    if name.isEmpty { return "%" }
    var out = ""
    for (i, byte) in name.utf8.enumerated() {
      switch byte {
      case 48...57, 65...90, 97...122, 45, 95: out.unicodeScalars.append(Unicode.Scalar(byte))
      case 46 where i > 0: out += "."
      default: out += "%" + Encoding.upperHex([byte])
      }
    }
    return out
  }

  private static func unescape(_ name: String) -> String {
    guard name != "%" else { return "" }
    var bytes: [UInt8] = []
    var rest = Array(name.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), rest.count >= 2,
        let value = Encoding.bytes(hex: String(decoding: rest.prefix(2), as: UTF8.self))
      {
        bytes += value
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: files

  private static func failed(_ what: String) -> ServiceError {
    let reason = errno
    // A name that the file system cannot bear, or one that is a folder of others: the same call will fail again.
    let isRefused = [ENAMETOOLONG, ENOTDIR, EISDIR, ENOTEMPTY].contains(reason)
    return ServiceError(
      isRefused ? .refused : .unavailable, service: "object store", code: isRefused ? "RPR-OBJ-002" : "RPR-OBJ-001",
      "\(what): errno \(reason)")
  }

  private static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  private static func write(_ bytes: [UInt8], to path: String) throws { try write([(path, MemorySource(bytes))]) }

  /// Writes files in their order and syncs each folder once, after all of them.
  private static func write(_ files: [(path: String, content: any ByteSource)]) throws {
    var parents: [String] = []
    for (path, content) in files {
      if !parents.contains(parent(of: path)) { parents.append(parent(of: path)) }
      try place(content, at: path)
    }
    for parent in parents { try sync(folder: parent) }
  }

  private static func place(_ content: any ByteSource, at path: String) throws {
    let temporary = "\(path)\(temporarySuffix)\(SecureRandom.uuid())"
    let handle = try made(temporary)
    var isDone = false
    defer { if !isDone { unlink(temporary) } }
    do {
      defer { close(handle) }
      try content.forEachPiece { piece in
        var at = 0
        while at < piece.count {
          let count = Glibc.write(handle, piece.baseAddress! + at, piece.count - at)
          if count < 0, errno == EINTR { continue }
          guard count > 0 else { throw failed("an object cannot be written") }
          at += count
        }
      }
      guard fsync(handle) == 0 else { throw failed("an object cannot be written") }
    } catch let error as ByteSourceError {
      throw ServiceError(.unavailable, service: "object store", code: "RPR-OBJ-001", error.description)
    }
    guard rename(temporary, path) == 0 else { throw failed("an object cannot be written") }
    isDone = true
  }

  /// Opens a new file. Its folder may be removed at any moment before, as an empty one; so folders that are made anew are synced when the
  /// file is in them.
  private static func made(_ path: String) throws -> Int32 {
    var parents: Set<String> = []
    for _ in 0..<1000 {
      let handle = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
      if handle >= 0 {
        do { for parent in parents { try sync(folder: parent) } } catch {
          close(handle)
          unlink(path)
          throw error
        }
        return handle
      }
      guard errno == ENOENT else { break }
      try parents.formUnion(makeFolders(parent(of: path)))
    }
    throw failed("an object cannot be written")
  }

  /// Makes what is missing of a folder's path.
  /// - Returns: the folders to sync, in which one was made.
  private static func makeFolders(_ path: String) throws -> Set<String> {
    if access(path, F_OK) == 0 { return [] }
    let parent = parent(of: path)
    let above: Set<String> = parent.isEmpty ? [] : try makeFolders(parent)
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
      // Its parent was empty and is removed: whoever wants to write there begins anew.
      if errno == ENOENT { return above }
      throw failed("a folder cannot be made")
    }
    return parent.isEmpty ? above : above.union([parent])
  }

  private static func parent(of path: String) -> String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }

  private static func sync(folder: String) throws {
    let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // An empty one may be gone again.
    if handle < 0, errno == ENOENT { return }
    guard handle >= 0 else { throw failed("a folder cannot be synced") }
    defer { close(handle) }
    guard fsync(handle) == 0 else { throw failed("a folder cannot be synced") }
  }

  private static func read(_ path: String) throws -> [UInt8]? {
    guard let file = try opened(path) else { return nil }
    do { return try file.bytes() } catch { throw failed("an object cannot be read") }
  }

  /// The file of a path; nil when there is none.
  private static func opened(_ path: String) throws -> FileSource? {
    let handle = open(path, O_RDONLY | O_CLOEXEC)
    guard handle >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw failed("an object cannot be read")
    }
    var status = stat()
    guard fstat(handle, &status) == 0 else {
      defer { close(handle) }
      throw failed("an object cannot be read")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(handle)
      return nil
    }
    return FileSource(owning: handle, count: Int(status.st_size))
  }

  /// The folders in a folder.
  private static func folders(in folder: String) -> [String] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var out: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name != ".", name != ".." else { continue }
      let path = "\(folder)/\(name)"
      if entry.pointee.d_type == UInt8(DT_DIR) || entry.pointee.d_type == UInt8(DT_UNKNOWN) && !isFile(path) { out.append(path) }
    }
    return out
  }

  /// Removes a folder with those in it, as far as nothing is in them and they have not changed since a moment.
  private static func removeEmpty(_ folder: String, before limit: Instant) -> Int {
    var status = stat()
    guard stat(folder, &status) == 0 else { return 0 }
    let isOld = Int(status.st_mtim.tv_sec) * 1000 <= Int(limit.milliseconds)
    let inner = folders(in: folder).reduce(0) { $0 + removeEmpty($1, before: limit) }
    // Refused where something is in it.
    return inner + (isOld && rmdir(folder) == 0 ? 1 : 0)
  }

  private static func walk(_ folder: String, _ prefix: String, _ out: inout [String]) {
    guard let handle = opendir(folder) else { return }
    defer { closedir(handle) }
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name != ".", name != ".." else { continue }
      // Some file systems do not say what an entry is.
      let isFolder =
        entry.pointee.d_type == UInt8(DT_DIR)
        || (entry.pointee.d_type == UInt8(DT_UNKNOWN) && !isFile("\(folder)/\(name)"))
      if isFolder {
        walk("\(folder)/\(name)", prefix + unescape(name) + "/", &out)
      } else if !name.hasSuffix(metadataSuffix), !name.contains(temporarySuffix) {
        out.append(prefix + unescape(name))
      }
    }
  }
}
