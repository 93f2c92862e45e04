import JSON

/// The form of a bundle that our reader and upstream's MOSIP-side mediator read alike: types of identifiers as codings with the code in
/// the first, names as lists, the child (or deceased) as the first Patient and the mother as the second. Upstream's reads no other, and
/// goes by position. A form is no content: persons, values and everything else stay what they were.
enum CommonForm {
  /// The type of the identifier that carries an application id.
  static let applicationId = "MOSIP_AID"

  /// An identifier of a Patient in this form.
  static func identifier(_ type: String, _ value: String) -> JSONValue { ["type": coded(type), "value": .string(value)] }

  /// A bundle in this form, without application ids.
  static func of(_ bundle: JSONValue, _ read: OpenCRVSBundle) -> JSONValue {
    guard let entries = withoutApplicationIds(bundle)["entry"]?.array else { return bundle }
    var out = bundle
    let order = order(entries, read)
    out["entry"] = .array(
      order.map { place in
        var entry = entries[place]
        entry["resource"] = entry["resource"].map(resource)
        return entry
      })
    return out
  }

  /// Where the subject stands in a bundle of this form.
  static func subject(_ bundle: JSONValue, _ read: OpenCRVSBundle) -> Int {
    order(bundle["entry"]?.array ?? [], read).firstIndex(of: read.subject.entry) ?? read.subject.entry
  }

  /// A bundle without the application ids of persons and of the record, otherwise as it is. opencrvs/mosip-mediator makes a new one for
  /// each delivery, and puts it at other Patients than the child too.
  static func withoutApplicationIds(_ bundle: JSONValue) -> JSONValue {
    guard let entries = bundle["entry"]?.array else { return bundle }
    var out = bundle
    out["entry"] = .array(
      entries.map { entry in
        guard let all = entry["resource"]?["identifier"]?.array else { return entry }
        let kept = all.filter {
          FHIR.code($0["type"]) != applicationId && FHIR.tail($0["system"]?.string) != "mosip-aid"
        }
        guard kept.count < all.count else { return entry }
        var (entry, resource) = (entry, entry["resource"])
        resource?["identifier"] = kept.isEmpty ? nil : .array(kept)
        entry["resource"] = resource
        return entry
      })
    return out
  }

  /// What of a bundle is content, for comparing: no application ids, no id of the change itself, and nothing that changes when OpenCRVS
  /// merely touches a record.
  /// Of a Task that leaves what it is about and whom to ask; of all else everything but the version it was stored under.
  static func content(_ bundle: JSONValue) -> JSONValue {
    guard let entries = withoutApplicationIds(bundle)["entry"]?.array else { return bundle }
    var out = bundle
    out["meta"] = nil
    out["timestamp"] = nil
    out["entry"] = .array(
      entries.map { entry in
        guard var resource = entry["resource"] else { return entry }
        var entry = entry
        let type = resource["resourceType"]?.string ?? ""
        if type == "Task" {
          resource = taskContent(resource)
          entry["fullUrl"] = nil
        } else {
          resource["meta"] = nil
          if let url = entry["fullUrl"]?.string { entry["fullUrl"] = .string(withoutVersion(url, of: type)) }
        }
        entry["resource"] = resource
        return entry
      })
    return out
  }

  private static func taskContent(_ task: JSONValue) -> JSONValue {
    var out: JSONValue = ["resourceType": "Task"]
    for member in ["code", "focus", "identifier"] { out[member] = task[member] }
    if let all = task["identifier"]?.array {
      out["identifier"] = .array(
        all.filter { !OpenCRVSTask.versionSystems.contains(FHIR.tail($0["system"]?.string) ?? "") })
    }
    let contacts = (task["extension"]?.array ?? []).filter {
      FHIR.tail($0["url"]?.string)?.hasPrefix("contact-person") == true
    }
    if !contacts.isEmpty { out["extension"] = .array(contacts) }
    return out
  }

  /// `/fhir/Patient/k1/3` without the 3.
  private static func withoutVersion(_ url: String, of type: String) -> String {
    let parts = url.split(separator: "/", omittingEmptySubsequences: false)
    guard let place = parts.firstIndex(of: type[...]), place + 2 < parts.count else { return url }
    return parts[...(place + 1)].joined(separator: "/")
  }

  /// The places of the entries: subject, mother and the other Patients change places among each other, nothing else moves.
  private static func order(_ entries: [JSONValue], _ read: OpenCRVSBundle) -> [Int] {
    let patients = entries.indices.filter { entries[$0]["resource"]?["resourceType"]?.string == "Patient" }
    let first = [read.subject.entry, read.mother?.entry].compactMap { $0 }.filter(patients.contains)
    var sorted = (first + patients.filter { !first.contains($0) })[...]
    return entries.indices.map { patients.contains($0) ? sorted.removeFirst() : $0 }
  }

  private static func resource(_ resource: JSONValue) -> JSONValue {
    var out = resource
    if let identifiers = resource["identifier"]?.array {
      out["identifier"] = .array(
        identifiers.map { identifier in
          var identifier = identifier
          identifier["type"] = identifier["type"].map(type)
          return identifier
        })
    }
    if let names = resource["name"]?.array {
      out["name"] = .array(
        names.map { name in
          var name = name
          for member in ["given", "family"] {
            if let text = name[member]?.string { name[member] = .array([.string(text)]) }
          }
          return name
        })
    }
    return out
  }

  /// A type whose code is in its first coding, where upstream looks for it.
  private static func type(_ type: JSONValue) -> JSONValue {
    if let text = type.string { return coded(text) }
    guard let codings = type["coding"]?.array, let code = FHIR.code(type),
      let place = codings.firstIndex(where: { $0["code"]?.string == code }), place > 0
    else { return type }
    var (out, sorted) = (type, codings)
    sorted.insert(sorted.remove(at: place), at: 0)
    out["coding"] = .array(sorted)
    return out
  }

  private static func coded(_ type: String) -> JSONValue {
    ["coding": [["system": "http://opencrvs.org/specs/identifier-type", "code": .string(type)]]]
  }
}
