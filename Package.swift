// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, swiftSettings: strict)
}

/// A Debian library whose headers Swift reads as they are.
func system(_ name: String, _ pkgConfig: String, _ apt: String) -> Target {
  .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

/// A Debian library that needs a shim: macros and variadic functions that Swift cannot see.
func shim(_ name: String, _ libraries: [String]) -> Target {
  .target(name: name, linkerSettings: libraries.map { .linkedLibrary($0) })
}

let package = Package(
  name: "regproc",
  products: [
    .executable(name: "regproc", targets: ["regproc"]),
  ],
  targets: [
    // Debian's C libraries
    system("CRdKafka", "rdkafka", "librdkafka-dev"),
    system("CPQ", "libpq", "libpq-dev"),
    system("CYAML", "yaml-0.1", "libyaml-dev"),
    system("CZip", "libzip", "libzip-dev"),
    shim("COpenSSL", ["crypto"]),
    shim("CCurl", ["curl"]),
    shim("CMicroHTTPD", ["microhttpd"]),
    shim("CLinux", []),

    // The machine: threads, clock, text encodings, log
    library("System", ["CLinux"]),
    library("JSON", ["System"]),
    library("YAML", ["CYAML"]),

    // One library each, in Swift
    library("Kafka", ["CRdKafka", "System"]),
    library("Postgres", ["CPQ", "System"]),
    library("HTTP", ["CMicroHTTPD", "CCurl", "System"]),
    library("Cryptography", ["COpenSSL", "System"]),

    // What the field is about
    library("Routing", ["YAML", "JSON"]),
    library("Registration", ["JSON", "Cryptography", "CZip", "System"]),

    // What a stage author imports, the engine behind it, and what stages call
    library("StageKit", ["Registration", "Routing", "YAML", "HTTP", "JSON", "System"]),
    library("StageRuntime", ["StageKit", "Kafka", "Postgres", "HTTP", "Routing", "YAML", "Cryptography"]),
    library("Platform", ["StageKit", "Registration", "Postgres", "HTTP", "Cryptography", "JSON"]),
    library("Stages", ["StageKit", "Registration"]),

    .executableTarget(
      name: "regproc", dependencies: ["Stages", "StageRuntime", "Platform"], swiftSettings: strict),

    tests("System", ["System"]),
    tests("JSON", ["JSON"]),
    tests("YAML", ["YAML"]),
    tests("Kafka", ["Kafka"]),
    tests("Postgres", ["Postgres"]),
    tests("HTTP", ["HTTP"]),
    tests("Cryptography", ["Cryptography"]),
    tests("Routing", ["Routing", "YAML", "JSON"]),
    tests("Registration", ["Registration"]),
    tests("StageKit", ["StageKit"]),
    tests("StageRuntime", ["StageRuntime"]),
    tests("Platform", ["Platform"]),
    tests("Stages", ["Stages"]),
    tests("Integration", ["StageRuntime", "Stages", "Platform"]),
  ]
)
