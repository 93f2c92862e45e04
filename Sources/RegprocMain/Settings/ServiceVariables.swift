/// The variables that Kubernetes sets in every container for each service: a service called `regproc-http` gives `REGPROC_HTTP_PORT=tcp://...` and
/// others beside it (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables). They are nobody's settings.
enum ServiceVariables {
  /// The environment without them, and their names.
  static func sorted(out environment: [String: String]) -> (others: [String: String], passedOver: [String]) {
    var others = environment
    let names = environment.filter { $0.key.hasPrefix("REGPROC_") && isOne($0.key, $0.value) }.map(\.key)
    for name in names { others[name] = nil }
    return (others, names.sorted())
  }

  /// What a person is told of them; nil where there are none.
  static func note(_ passedOver: [String]) -> String? {
    guard !passedOver.isEmpty else { return nil }
    return "passed over, as Kubernetes sets them for services and nobody else does: \(passedOver.joined(separator: ", ")) "
      + "(enableServiceLinks: false keeps them away)"
  }

  private static func isOne(_ name: String, _ value: String) -> Bool {
    if ["tcp://", "udp://", "sctp://"].contains(where: value.hasPrefix) { return true }
    if name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") { return true }
    // REGPROC_HTTP_PORT_8080_TCP_ADDR, ..._PORT, ..._PROTO.
    let words = Array(name.split(separator: "_").map(String.init).suffix(4))
    return words.count == 4 && words[0] == "PORT" && Int(words[1]) != nil
      && ["TCP", "UDP", "SCTP"].contains(words[2])
      && ["ADDR", "PORT", "PROTO"].contains(words[3])
  }
}
