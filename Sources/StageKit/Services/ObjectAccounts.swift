/// The accounts of the object store in which something of a registration is kept, by their names where no setting says otherwise.
public enum ObjectAccounts {
  /// Events of the OpenCRVS side as OpenCRVS sent them, sealed; a container for each work key.
  public static let openCRVSEvents = "opencrvs-events"
  /// Events of the MOSIP side as the other side sent them, sealed, a container for each RID; and credential events, a container for each,
  /// whose name begins with `credentials`.
  public static let mosipEvents = "mosip-opencrvs"
  /// What the containers of credential events begin with.
  public static let credentials = "credential-"
  /// Packets between creation and upload, under upstream's name of the account.
  public static let packetsBeforeUpload = "PACKET_MANAGER_ACCOUNT"
  /// Packets as clients uploaded them; the setting `landing-zone-account`.
  public static let landingZone = "landing-zone"
  /// Packets as the stages read them; the setting `packet-account`.
  public static let packetStore = "packet-manager"
}
