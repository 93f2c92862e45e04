/// Finds the endpoint of a request. Of two patterns that fit a path the more special one wins (`/packets/new` before
/// `/packets/{rid}`); endpoints of which neither is more special are refused when the router is made.
///
/// A slash at the end of a path says nothing: MOSIP's hub delivers to `<callback>/`.
package struct Router: Sendable {
  /// What fits a method and a path.
  package enum Match {
    case endpoint(Endpoint, parameters: [String: String])
    /// The path is known, the method is not; these are.
    case wrongMethod(allowed: [String])
    case notFound
  }

  private enum Segment: Equatable {
    case literal(String)
    case parameter(String)
  }

  private struct Route {
    let endpoint: Endpoint
    let segments: [Segment]

    /// The parameters of a path that fits, else nil.
    func parameters(_ path: [String]) -> [String: String]? {
      var out: [String: String] = [:]
      for (segment, text) in zip(segments, path) {
        switch segment {
        case .literal(let literal): guard literal == text else { return nil }
        case .parameter(let name):
          guard !text.isEmpty else { return nil }
          out[name] = text
        }
      }
      return out
    }

    /// Whether some path fits both.
    func overlaps(_ other: Route) -> Bool {
      zip(segments, other.segments).allSatisfy { a, b in
        if case .literal(let x) = a, case .literal(let y) = b { return x == y }
        return true
      }
    }

    /// Whether every path that fits this one fits the other too.
    func isWithin(_ other: Route) -> Bool {
      zip(segments, other.segments).allSatisfy { a, b in
        if case .literal = b { return a == b }
        return true
      }
    }
  }

  /// By number of segments, the special ones before those they are within.
  private let routes: [Int: [Route]]
  /// What answers unknown paths, the longer prefixes first.
  private let below: [(prefix: [Segment], endpoint: Endpoint)]

  package init(_ endpoints: [Endpoint]) throws {
    var routes: [Int: [Route]] = [:]
    var below: [(prefix: [Segment], endpoint: Endpoint)] = []
    for endpoint in endpoints {
      let segments = Self.withoutEnd(try Self.parse(endpoint.pathPattern)) { $0 == .literal("") }
      if endpoint.isForUnknownPaths {
        guard !below.contains(where: { $0.prefix == segments }) else {
          throw HTTPError(.invalidSettings, "two endpoints answer what is unknown below \(endpoint.pathPattern)")
        }
        below.append((segments, endpoint))
        continue
      }
      let route = Route(endpoint: endpoint, segments: segments)
      var peers = routes[segments.count, default: []]
      for other in peers where other.endpoint.method == endpoint.method && route.overlaps(other) {
        let (inner, outer) = (route.isWithin(other), other.isWithin(route))
        guard inner != outer else {
          throw HTTPError(
            .invalidSettings,
            "endpoint \(endpoint.method) \(endpoint.pathPattern)"
              + (inner ? " is there twice" : " and \(other.endpoint.pathPattern) fit the same paths"))
        }
      }
      let place = peers.firstIndex { route.isWithin($0) } ?? peers.endIndex
      peers.insert(route, at: place)
      routes[segments.count] = peers
    }
    self.routes = routes
    self.below = below.sorted { $0.prefix.count > $1.prefix.count }
  }

  private static func parse(_ pattern: String) throws -> [Segment] {
    guard pattern.hasPrefix("/") else {
      throw HTTPError(.invalidSettings, "path pattern \(pattern) has no leading slash")
    }
    var names: Set<String> = []
    return try pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map { piece in
      guard piece.contains(where: { $0 == "{" || $0 == "}" }) else { return .literal(String(piece)) }
      let name = String(piece.dropFirst().dropLast())
      guard piece.first == "{", piece.last == "}", !name.isEmpty, !name.contains(where: { $0 == "{" || $0 == "}" }),
        names.insert(name).inserted
      else { throw HTTPError(.invalidSettings, "path pattern \(pattern) has an unusable parameter") }
      return .parameter(name)
    }
  }

  /// A path or pattern without the empty segment that a slash at its end leaves. `/` alone keeps its only one.
  private static func withoutEnd<S>(_ segments: [S], isEmpty: (S) -> Bool) -> [S] {
    segments.count > 1 && segments.last.map(isEmpty) == true ? segments.dropLast() : segments
  }

  package func match(_ method: String, _ path: [String]) -> Match {
    let path = Self.withoutEnd(path) { $0.isEmpty }
    let wanted = method == "HEAD" ? ["HEAD", "GET"] : [method]
    var allowed: Set<String> = []
    var best: (Endpoint, [String: String], rank: Int)?
    for route in routes[path.count] ?? [] {
      guard let parameters = route.parameters(path) else { continue }
      allowed.insert(route.endpoint.method)
      guard let rank = wanted.firstIndex(of: route.endpoint.method) else { continue }
      if best == nil || rank < best!.rank { best = (route.endpoint, parameters, rank) }
    }
    if let best { return .endpoint(best.0, parameters: best.1) }
    guard !allowed.isEmpty else {
      let found = below.first { entry in
        path.count > entry.prefix.count && zip(entry.prefix, path).allSatisfy { $0 == .literal($1) }
      }
      return found.map { .endpoint($0.endpoint, parameters: [:]) } ?? .notFound
    }
    if allowed.contains("GET") { allowed.insert("HEAD") }
    return .wrongMethod(allowed: allowed.sorted())
  }
}
