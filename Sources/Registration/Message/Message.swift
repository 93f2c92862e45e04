import JSON
import System

/// The MessageDTO that travels on the bus (docs/upstream/bus-and-routes.md#1-the-message).
///
/// It keeps the bytes it came in and where each field stands in them; a field is decoded when it is asked for, and what
/// nobody changed is copied to the next record as it is. A record always has all eleven fields, null written as `null`.
public struct Message: Sendable {
  /// The bytes a message may have: librdkafka's and Kafka's own limit of a record is 1 MiB with the key.
  public static let maximumBytes = 1 << 20
  /// The characters a `rid` or a `reg_type` may have. MOSIP's tables give them 39 and 36.
  public static let maximumKeyLength = 64

  /// The fields in the order they are written.
  enum Field: Int, CaseIterable {
    case process, rid, isValid, internalError, messageBusAddress, retryCount, tags, lastHopTimestamp, source
    case iteration, workflowInstanceId
  }

  /// Where a field's value is. Truth values and numbers are held here themselves.
  struct Slot: Sendable {
    enum Kind: UInt8, Sendable { case null, `true`, `false`, int, received, written }
    var kind = Kind.null
    /// The text has at least one backslash.
    var isEscaped = false
    /// The first byte in `received` or `written`; of an `int` the number itself.
    var start: Int32 = 0
    var count: Int32 = 0
  }

  typealias Slots = InlineArray<11, Slot>

  /// The record as it came; never changed, so that sharing it costs nothing.
  let received: [UInt8]
  /// Texts that were set since, each in its quotation marks.
  private(set) var written: [UInt8] = []
  private(set) var slots: Slots

  /// Reads a record's value: strict JSON of at most `maximumBytes`, an object, with `reg_type` and `rid`; any other field may
  /// be null or absent. Fields of other names are dropped.
  public init(decoding bytes: [UInt8]) throws(MessageError) {
    guard bytes.count <= Self.maximumBytes else { throw MessageError(.tooLarge) }
    received = bytes
    slots = Slots(repeating: Slot())
    try bytes.withUnsafeBufferPointer { bytes throws(MessageError) in
      try MessageReader.read(UnsafeRawBufferPointer(bytes), into: &slots)
    }
  }

  /// A new message. Throws if process or rid is empty, too long or has a character that a topic or a key cannot bear.
  public init(
    process: String, rid: String, isValid: Bool? = nil, internalError: Bool? = nil, messageBusAddress: String? = nil,
    retryCount: Int? = nil, tags: [String: String]? = [:], lastHopTimestamp: Instant? = nil, source: String? = nil,
    iteration: Int = 0, workflowInstanceId: String? = nil
  ) throws(MessageError) {
    received = []
    slots = Slots(repeating: Slot())
    var (process, rid) = (process, rid)
    if let code = process.withUTF8({ MessageReader.fault(process: UnsafeRawBufferPointer($0)) }) {
      throw MessageError(code, "reg_type")
    }
    if let code = rid.withUTF8({ MessageReader.fault(rid: UnsafeRawBufferPointer($0)) }) {
      throw MessageError(code, "rid")
    }
    set(.process, text: process)
    set(.rid, text: rid)
    self.isValid = isValid
    self.internalError = internalError
    self.messageBusAddress = messageBusAddress
    self.retryCount = retryCount
    self.tags = tags
    self.lastHopTimestamp = lastHopTimestamp
    self.source = source
    self.iteration = iteration
    self.workflowInstanceId = workflowInstanceId
  }

  /// `reg_type`: the process, upper case as synced, such as `OPENCRVS_NEW`.
  public var process: String { text(.process) ?? "" }

  /// The registration id. A message never changes its RID.
  public var rid: String { text(.rid) ?? "" }

  /// The business verdict (docs/upstream/bus-and-routes.md#2-the-two-flags).
  public var isValid: Bool? {
    get { bool(.isValid) }
    set { set(.isValid, bool: newValue) }
  }

  /// The technical verdict; nil is legal, the reprocessor leaves it out.
  public var internalError: Bool? {
    get { bool(.internalError) }
    set { set(.internalError, bool: newValue) }
  }

  /// The address inside `messageBusAddress`. An object with a null address is read as none.
  public var messageBusAddress: String? {
    get { text(.messageBusAddress) }
    set { set(.messageBusAddress, text: newValue) }
  }

  /// Null in practice: the counters are in the database.
  public var retryCount: Int? {
    get { int(.retryCount) }
    set { set(.retryCount, int: newValue) }
  }

  /// The packet's tags at the time of sending. A tag without a value (null) is left out. Each read builds the dictionary:
  /// `tag(_:)` does not.
  public var tags: [String: String]? {
    get {
      guard slots[Field.tags.rawValue].kind != .null else { return nil }
      var tags: [String: String] = [:]
      withTags { name, value, bytes in
        if value.kind == .string { tags[name.string(in: bytes)] = value.string(in: bytes) }
      }
      return tags
    }
    set {
      guard let newValue else { return set(.tags, Slot()) }
      var json: [UInt8] = [UInt8(ascii: "{")]
      // In the order of their bytes, so that equal tags are equal bytes.
      for (name, value) in newValue.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
        if json.count > 1 { json.append(UInt8(ascii: ",")) }
        JSONWriter.append(name, to: &json)
        json.append(UInt8(ascii: ":"))
        JSONWriter.append(value, to: &json)
      }
      json.append(UInt8(ascii: "}"))
      set(.tags, json: json, isEscaped: false)
    }
  }

  /// Whether the message has tags, be it none: false for null. Cheaper than to ask for the tags.
  public var hasTags: Bool { slots[Field.tags.rawValue].kind != .null }

  /// One tag's value; nil if it is absent or null.
  public func tag(_ name: String) -> String? {
    if case .text(let value) = tagValue(name) { value } else { nil }
  }

  /// When the message was produced, set by the bus layer right before; nil also for a text that is no time.
  public var lastHopTimestamp: Instant? {
    get { text(.lastHopTimestamp).flatMap(Instant.init(iso:)) }
    set {
      guard let newValue else { return set(.lastHopTimestamp, Slot()) }
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 26) { json in
        json[0] = UInt8(ascii: "\"")
        _ = newValue.civil.writeISO(into: UnsafeMutableBufferPointer(rebasing: json[1..<25]))
        json[25] = UInt8(ascii: "\"")
        set(.lastHopTimestamp, json: json, isEscaped: false)
      }
    }
  }

  /// The packet's source, such as `CRVS1`; null for client and OpenCRVS packets.
  public var source: String? {
    get { text(.source) }
    set { set(.source, text: newValue) }
  }

  /// 1 for main processes, n for the n-th packet of additional information, 0 if none was given.
  public var iteration: Int {
    get { int(.iteration) ?? 0 }
    set { set(.iteration, int: newValue) }
  }

  /// The key of `registration`, a UUID.
  public var workflowInstanceId: String? {
    get { text(.workflowInstanceId) }
    set { set(.workflowInstanceId, text: newValue) }
  }
}

// MARK: - Slots

extension Message {
  func slot(_ field: Field) -> Slot { slots[field.rawValue] }

  func bool(_ field: Field) -> Bool? {
    switch slot(field).kind {
    case .true: true
    case .false: false
    default: nil
    }
  }

  func int(_ field: Field) -> Int? {
    let slot = slot(field)
    return slot.kind == .int ? Int(slot.start) : nil
  }

  func text(_ field: Field) -> String? {
    withJSON(field) { bytes, isEscaped in
      JSONToken(kind: .string, isEscaped: isEscaped, start: 0, end: bytes.count).string(in: bytes)
    }
  }

  /// A text's or the tags' bytes as they stand in JSON; nil if the field holds none.
  func withJSON<R>(_ field: Field, _ body: (UnsafeRawBufferPointer, Bool) -> R) -> R? {
    let slot = slot(field)
    let range = Int(slot.start)..<Int(slot.start) + Int(slot.count)
    switch slot.kind {
    case .received:
      return received.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range]), slot.isEscaped) }
    case .written:
      return written.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range]), slot.isEscaped) }
    default: return nil
    }
  }

  private mutating func set(_ field: Field, _ slot: Slot) { slots[field.rawValue] = slot }

  private mutating func set(_ field: Field, bool value: Bool?) {
    set(field, Slot(kind: value.map { $0 ? .true : .false } ?? .null))
  }

  private mutating func set(_ field: Field, int value: Int?) {
    // Java's int; a count beyond it has no meaning.
    set(field, value.map { Slot(kind: .int, start: Int32(clamping: $0)) } ?? Slot())
  }

  private mutating func set(_ field: Field, text: String?) {
    guard let text else { return set(field, Slot()) }
    if written.isEmpty { written.reserveCapacity(128) }
    let start = written.count
    JSONWriter.append(text, to: &written)
    let count = written.count - start
    let isEscaped = count != text.utf8.count + 2
    set(field, Slot(kind: .written, isEscaped: isEscaped, start: Int32(start), count: Int32(count)))
  }

  private mutating func set(_ field: Field, json: some RandomAccessCollection<UInt8>, isEscaped: Bool) {
    let old = slot(field)
    var new = Slot(kind: .written, isEscaped: isEscaped, start: Int32(written.count), count: Int32(json.count))
    if old.kind == .written, old.count == new.count {
      // The time stamp of every hop: the same length each time.
      new.start = old.start
      written.withUnsafeMutableBytes {
        UnsafeMutableRawBufferPointer(rebasing: $0[Int(new.start)..<Int(new.start) + json.count]).copyBytes(from: json)
      }
    } else {
      if written.isEmpty { written.reserveCapacity(128) }
      written.append(contentsOf: json)
    }
    set(field, new)
  }
}
