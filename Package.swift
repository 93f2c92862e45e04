// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

/// A Debian library whose headers Swift reads as they are.
func system(_ name: String, _ pkgConfig: String?, _ apt: String) -> Target {
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
    .executable(name: "regproc-bench", targets: ["regproc-bench"]),
  ],
  targets: [
    // Debian's C libraries
    system("CRdKafka", "rdkafka", "librdkafka-dev"),
    system("CPQ", "libpq", "libpq-dev"),
    system("CYAML", "yaml-0.1", "libyaml-dev"),
    system("CZlib", "zlib", "zlib1g-dev"),
    shim("COpenSSL", ["crypto"]),
    shim("CCurl", ["curl"]),
    // Linked into the program: its shared library has another name in each release of Debian, and a program built on one must run on the next.
    shim("CUTF8Proc", [":libutf8proc.a"]),
    shim("CMicroHTTPD", ["microhttpd", "gnutls"]),
    shim("CLinux", []),
    shim("CProcess", []),

    // The machine: threads, clock, text encodings, log
    library("System", ["CLinux"]),
    library("JSON", ["System"]),
    library("JSONSchema", ["JSON"]),
    library("YAML", ["CYAML", "System"]),
    library("XML"),

    // One library each, in Swift
    library("Kafka", ["CRdKafka", "System"]),
    library("Postgres", ["CPQ", "System"]),
    library("HTTP", ["CMicroHTTPD", "CCurl", "JSON", "System"]),
    library("Cryptography", ["COpenSSL", "System"]),

    // What the field is about
    library("Registration", ["XML", "JSON", "JSONSchema", "Cryptography", "CUTF8Proc", "CZlib", "System"]),
    library("Routing", ["Registration", "XML", "YAML", "JSON", "System"]),

    // What a stage author imports, the engine behind it, and what stages call
    library("StageKit", ["Registration", "HTTP", "Cryptography", "JSON", "System"]),
    library("StageRuntime", ["StageKit", "Kafka", "Postgres", "HTTP", "Routing", "YAML", "Cryptography"]),
    library("ObjectStores", ["StageKit", "HTTP", "Cryptography", "XML", "JSON", "System"]),
    library("VirusScanning", ["StageKit", "System"]),
    library(
      "EmbeddedPlatform", ["ObjectStores", "StageKit", "Registration", "Postgres", "HTTP", "Cryptography", "JSON", "System"]),
    library("MosipPlatform", ["StageKit", "Registration", "HTTP", "Cryptography", "JSON", "System"]),
    library("Stages", ["StageKit", "Registration", "YAML"]),

    // What operators see and do, which knows neither HTTP nor terminals, and its face over HTTP; the command line is the other one
    library("Operations", ["StageRuntime", "StageKit", "Registration", "Routing", "Postgres", "YAML", "JSON", "System"]),
    library("OperationsAPI", ["Operations", "StageRuntime", "StageKit", "HTTP", "Postgres", "JSON", "System"]),

    // From stages to what runs them in containers; pure, and knowing nothing of the rest
    library("Deployment", ["JSON"]),

    // No part of a deployment: the demo's and the tests' OpenCRVS, with its made-up births, and the tests' MOSIP
    library("StandIn", ["StageKit", "Registration", "HTTP", "Cryptography", "JSON", "System"]),

    .executableTarget(
      name: "regproc",
      dependencies: [
        "CProcess", "Stages", "StageRuntime", "Operations", "OperationsAPI", "EmbeddedPlatform", "MosipPlatform", "StandIn",
        "Deployment",
        "CLinux", "Cryptography", "HTTP", "JSON", "Kafka", "ObjectStores", "Postgres", "Registration", "Routing", "StageKit",
        "System", "VirusScanning", "YAML",
        // `regproc version` tells what was loaded.
        "CRdKafka", "CPQ", "CYAML", "CZlib", "COpenSSL", "CCurl", "CUTF8Proc", "CMicroHTTPD",
      ],
      swiftSettings: strict),

    // What must hold of every reader, for `make fuzz` and for a short run in `make test`
    library(
      "Fuzzing",
      [
        "Registration", "Routing", "YAML", "HTTP", "StageKit", "StageRuntime", "Stages", "MosipPlatform", "Cryptography", "JSON",
        "System",
        "ObjectStores",
      ]),
    .testTarget(name: "FuzzingTests", dependencies: ["Fuzzing"], exclude: ["Corpus"], swiftSettings: strict),

    .testTarget(
      name: "InteropTests", dependencies: ["Registration", "Cryptography", "JSON", "System"], path: "Tests/Interop",
      exclude: ["java", "python"], swiftSettings: strict),

    // The yardsticks of docs/performance.md, and the C programs that engine and packets are measured against
    .target(name: "CForwarder", dependencies: ["CRdKafka"]),
    shim("CPacketReference", ["crypto", "z"]),
    .executableTarget(
      name: "regproc-bench",
      dependencies: [
        "CForwarder", "CPacketReference", "Registration", "StageRuntime", "Operations", "EmbeddedPlatform", "Kafka", "Postgres",
        "CLinux", "Cryptography", "JSON", "Routing", "StageKit", "System",
      ],
      swiftSettings: strict),

    // What tests of several targets need: a Postgres started once for all of them, the broker that they are given from outside,
    // an S3 server where one is installed, an authority of certificates, keys
    .target(
      name: "TestSupport",
      dependencies: ["ObjectStores", "StageKit", "Kafka", "Postgres", "HTTP", "CLinux", "System"],
      path: "Tests/Support", swiftSettings: strict),

    // What comments and pages say of each other
    tests("Books", []),
    tests("System", ["System"]),
    tests("JSON", ["JSON"]),
    tests("JSONSchema", ["JSONSchema", "JSON"]),
    tests("YAML", ["YAML"]),
    tests("XML", ["XML"]),
    tests("Kafka", ["Kafka", "TestSupport", "System"]),
    tests("Postgres", ["Postgres"]),
    tests("HTTP", ["HTTP", "TestSupport", "System"]),
    tests("Cryptography", ["Cryptography", "TestSupport", "System"]),
    tests("Routing", ["Routing", "YAML", "JSON"]),
    tests("Registration", ["Registration", "TestSupport", "Cryptography", "JSON", "System"]),
    tests("StageKit", ["StageKit", "JSON", "Routing", "System"]),
    tests(
      "StageRuntime",
      [
        "StageRuntime", "StageKit", "Routing", "YAML", "EmbeddedPlatform", "TestSupport", "HTTP", "JSON", "Kafka", "Postgres",
        "Registration", "System",
      ]),
    tests(
      "Operations",
      [
        "Operations", "OperationsAPI", "StageRuntime", "StageKit", "Stages", "EmbeddedPlatform", "StandIn", "TestSupport", "HTTP",
        "Routing", "JSON", "Postgres", "Registration", "System",
      ]),
    tests("ObjectStores", ["ObjectStores", "TestSupport", "HTTP", "StageKit", "System"]),
    tests("VirusScanning", ["VirusScanning", "EmbeddedPlatform", "TestSupport", "JSON", "Registration", "StageKit", "System"]),
    tests(
      "EmbeddedPlatform",
      [
        "EmbeddedPlatform", "TestSupport", "Cryptography", "HTTP", "JSON", "ObjectStores", "Postgres", "Registration", "StageKit",
        "System",
      ]),
    tests(
      "MosipPlatform",
      [
        "MosipPlatform", "EmbeddedPlatform", "StandIn", "TestSupport", "Postgres", "Cryptography", "HTTP", "JSON", "ObjectStores",
        "Registration", "StageKit", "System",
      ]),
    tests("Stages", ["Stages", "StageRuntime", "StandIn"]),
    tests("Deployment", ["Deployment", "YAML", "System"]),
    tests(
      "Integration",
      [
        "StageRuntime", "Operations", "OperationsAPI", "Stages", "EmbeddedPlatform", "MosipPlatform", "StandIn", "TestSupport",
        "Cryptography", "HTTP", "JSON", "Kafka", "Postgres", "Registration", "Routing", "StageKit", "System",
      ]),
    // They start the built program.
    tests(
      "Program",
      [
        "regproc", "StageRuntime", "StandIn", "EmbeddedPlatform", "Registration", "TestSupport", "Kafka",
        "Postgres", "HTTP", "Routing",
        "JSON", "CLinux", "StageKit", "System", "Cryptography", "MosipPlatform", "ObjectStores", "Stages",
      ], exclude: ["Earlier"]),
  ]
)

// libFuzzer's program can only be linked with its runtime, so it is part of no other build: see scripts/fuzz.
if Context.environment["REGPROC_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "regproc-fuzz", dependencies: ["Fuzzing"], swiftSettings: strict,
      // The default linker fails on what the instrumentation leaves.
      linkerSettings: [.unsafeFlags(["-use-ld=lld"])]))
}
