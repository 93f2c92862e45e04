import JSON

/// `regproc version`: the program and the libraries it runs on.
enum VersionCommand {
  static let command = Command(
    name: "version", summary: "tells the version, and those of the libraries it runs on",
    details: "The libraries are those that were loaded, not those it was built with: in a container they may be others.",
    options: [.flag("json", "one JSON object")], example: "version", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let libraries = LibraryVersions.loaded
    if arguments.has("json") {
      var versions = JSONObject()
      for library in libraries { versions[library.name] = .string(library.version) }
      let object = JSONValue.object(["regproc": .string(Commands.versionNumber), "libraries": .object(versions)])
      around.console.out(object.encoded() + [10])
      return 0
    }
    var table = TextTable(head: ["library", "version"])
    for library in libraries { table.add([library.name, library.version]) }
    around.console.out("regproc \(Commands.versionNumber)\n\n" + table.rendered(around.console))
    return 0
  }
}
