/// For how long is kept what nothing needs any more (docs/operations.md).
public struct RetentionSettings: Sendable, Hashable {
  /// What is removed in time. Each has a setting of its own, `keep.` and this name, in days.
  public enum What: String, Sendable, CaseIterable {
    case work
    case hubMessages = "hub-messages"
    case credentialRequests = "credential-requests"
    case outbox
    case landingZone = "landing-zone"
    case emptyFolders = "empty-folders"
    case routeVersions = "route-versions"
    case processReports = "process-reports"
    case events
    // A number each, which a database has kept: new ones come last.
    case failedPackets = "failed-packets"
    case supersededEvents = "superseded-events"

    /// Days, where nobody says otherwise.
    public var defaultDays: Int {
      switch self {
      case .work, .credentialRequests: 30
      case .hubMessages, .outbox, .landingZone: 7
      case .emptyFolders, .processReports: 1
      case .routeVersions, .events, .failedPackets, .supersededEvents: 90
      }
    }

    /// What the setting says.
    public var meaning: String {
      switch self {
      case .work: "days after which work of stages that was done is removed"
      case .hubMessages:
        "days after which a message of the embedded hub that every subscriber has taken is removed; what was published that long before a stage first "
          + "subscribed is not delivered to it"
      case .credentialRequests: "days after which a request for a credential that its partner has taken is removed"
      case .outbox: "days after which a record that was sent to a topic no stage here reads is removed"
      case .landingZone:
        "days after which a packet is removed from the landing zone, once it is in the packet store and its registration is through"
      case .emptyFolders: "days after which an empty folder of the object store is removed, where objects are files"
      case .routeVersions: "days after which a version of the route file is removed that no process and no packet uses any more"
      case .processReports: "days after which a process that no longer reports itself is forgotten"
      case .events:
        "days after which an event of OpenCRVS that was answered, and a credential event, are removed from the object store"
      case .failedPackets:
        "days after which the packet of a registration that failed is removed from the landing zone; that of an OpenCRVS event only once it is in "
          + "the packet store, so that the event can be sent again"
      case .supersededEvents:
        "days after which the event and the packet in the landing zone of a registration are removed whose place another one took"
      }
    }

    /// The number of its row.
    var id: Int { (Self.allCases.firstIndex(of: self) ?? 0) + 1 }
    /// A walk over folders reads all of them.
    var isCostly: Bool { self == .emptyFolders }
  }

  private var days: [What: Int]
  /// Seconds between two looks for what can be removed.
  public var every: Double

  /// The defaults, and what is given over them.
  /// - Parameters:
  ///   - days: by what is kept.
  ///   - every: seconds between two looks.
  public init(days: [What: Int] = [:], every: Double = 600) {
    self.days = days
    self.every = every
  }

  /// Seconds for which something is kept.
  public func seconds(_ what: What) -> Double { Double(days[what] ?? what.defaultDays) * 86_400 }

  /// Seconds until something is looked for again.
  func pause(_ what: What) -> Double { what.isCostly && seconds(what) > 0 ? max(every, 86_400) : every }
}
