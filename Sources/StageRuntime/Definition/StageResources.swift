import YAML

/// What a container of a stage asks for and may use at most, in Kubernetes' notation.
public struct StageResources: Sendable, Equatable {
  /// An amount as it is written, and in the smallest unit, for comparing.
  public struct Quantity: Sendable, Equatable, CustomStringConvertible {
    /// As Kubernetes and Compose take it, e.g. `100m` or `96Mi`.
    public let description: String
    /// Thousandths of a processor, or bytes.
    public let amount: Int

    /// A part of a processor: `0.5`, `2` or `500m`; nil for what is none.
    public init?(cpu text: String) {
      let isMilli = text.hasSuffix("m")
      guard let number = Double(isMilli ? String(text.dropLast()) : text), Self.isPlain(text, "m"), number > 0, number < 1e6,
        case let amount = isMilli ? number : number * 1000, amount == amount.rounded()
      else { return nil }
      (description, self.amount) = (text, Int(amount))
    }

    /// Memory: bytes, with Ki, Mi, Gi or k, M, G behind; nil for what is none.
    public init?(memory text: String) {
      let units = ["Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 1000, "M": 1_000_000, "G": 1_000_000_000]
      let unit = units.keys.filter(text.hasSuffix).max { $0.count < $1.count }
      let digits = text.dropLast(unit?.count ?? 0)
      guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(digits), number > 0,
        case let (amount, overflow) = number.multipliedReportingOverflow(by: unit.flatMap { units[$0] } ?? 1), !overflow
      else { return nil }
      (description, self.amount) = (text, amount)
    }

    private static func isPlain(_ text: String, _ unit: String) -> Bool {
      text.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 || unit.utf8.contains($0) }
    }
  }

  /// What a container is sure to get.
  public var cpu = Self.quantity(cpu: "50m")
  public var memory = Self.quantity(memory: "64Mi")
  /// What it may use at most. Without one for the processor it may use what nobody else needs: a limit there only makes it slow.
  public var cpuLimit: Quantity?
  public var memoryLimit = Self.quantity(memory: "512Mi")

  /// The defaults: a process at rest has 31 MB; bodies under way have 256 MiB at most (`http.body-memory-mib`).
  public init() {}

  private static func quantity(cpu: String) -> Quantity { Quantity(cpu: cpu) ?? never() }
  private static func quantity(memory: String) -> Quantity { Quantity(memory: memory) ?? never() }
  private static func never() -> Quantity { preconditionFailure("a default that is no quantity") }

  /// Reads `resources:` of a stage file; faults are told at their places.
  init(_ reader: KeyedReader) {
    if let requests = reader.mapping("requests") {
      cpu = Self.read(requests, "cpu", Self.cpuWords, Quantity.init(cpu:)) ?? cpu
      memory = Self.read(requests, "memory", Self.memoryWords, Quantity.init(memory:)) ?? memory
      // A default never stands below what was asked for.
      if memory.amount > memoryLimit.amount { memoryLimit = memory }
      requests.finish()
    }
    if let limits = reader.mapping("limits") {
      cpuLimit = Self.read(limits, "cpu", Self.cpuWords, Quantity.init(cpu:))
      memoryLimit = Self.read(limits, "memory", Self.memoryWords, Quantity.init(memory:)) ?? memoryLimit
      for (name, limit, request) in [("cpu", cpuLimit, cpu), ("memory", memoryLimit, memory)] {
        guard let limit, limit.amount < request.amount, let node = limits.entry(name)?.value else { continue }
        limits.problems.add("wrong-value", "the limit of \(name) is below what is requested, \(request)", at: node)
      }
      limits.finish()
    }
    reader.finish()
  }

  private static let cpuWords = "processors, e.g. 0.5 or 500m"
  private static let memoryWords = "bytes with Ki, Mi or Gi, e.g. 96Mi"

  private static func read(
    _ reader: KeyedReader, _ key: String, _ wanted: String, _ make: (String) -> Quantity?
  ) -> Quantity? {
    guard let entry = reader.entry(key), !entry.value.isNull else { return nil }
    if let quantity = entry.value.text.flatMap(make) { return quantity }
    // The commonest slip: MB and m are other units than people think.
    let hint = entry.value.text.map { $0.hasSuffix("B") || $0.hasSuffix("b") ? "; Kubernetes writes no B" : "" } ?? ""
    reader.problems.add("wrong-value", "\(key) must be \(wanted)\(hint)", at: entry.value)
    return nil
  }
}
