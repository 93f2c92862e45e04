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
    // For stages of one's own: docs/writing-a-stage.md
    .library(name: "StageKit", targets: ["StageKit"]),
    .library(name: "StageTesting", targets: ["StageTesting"]),
    .library(name: "RegprocMain", targets: ["RegprocMain", "Stages"]),
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
    library("JSON"),
    library("JSONSchema", ["JSON"]),
    library("YAML", ["CYAML", "System"]),
    library("XML"),

    // One library each, in Swift
    library("Kafka", ["CRdKafka", "System"]),
    library("Postgres", ["CPQ", "CLinux", "System"]),
    library("HTTP", ["CCurl", "CMicroHTTPD", "System", "JSON"]),
    library("Cryptography", ["COpenSSL", "System"]),

    // What the field is about
    library("Registration", ["CZlib", "CUTF8Proc", "System", "JSON", "JSONSchema", "XML", "Cryptography"]),
    library("Routing", ["System", "JSON", "YAML", "XML", "Registration"]),

    // What a stage author imports, the engine behind it, and what stages call
    library("StageKit", ["System", "JSON", "HTTP", "Cryptography", "Registration"]),
    library(
      "StageRuntime",
      ["StageKit", "System", "JSON", "YAML", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration", "Routing"]),
    library("ObjectStores", ["StageKit", "System", "JSON", "XML", "HTTP", "Cryptography"]),
    library("VirusScanning", ["StageKit", "System"]),
    library(
      "EmbeddedPlatform", ["StageKit", "System", "JSON", "Postgres", "HTTP", "Cryptography", "Registration", "ObjectStores"]),
    library("MosipPlatform", ["StageKit", "System", "JSON", "HTTP", "Cryptography", "Registration"]),
    // OpenCRVS' events, and what both mediators do with them
    library("OpenCRVS", ["StageKit", "System", "JSON", "YAML", "HTTP", "Cryptography", "Registration"]),
    library("Stages", ["StageKit", "System", "JSON", "HTTP", "Cryptography", "Registration", "OpenCRVS"]),

    // What operators see and do, which knows neither HTTP nor terminals, and its face over HTTP; the command line is the other one
    library(
      "Operations",
      ["StageKit", "System", "JSON", "YAML", "Postgres", "Cryptography", "Registration", "Routing", "StageRuntime"]),
    library("OperationsAPI", ["StageKit", "System", "JSON", "Postgres", "HTTP", "Routing", "StageRuntime", "Operations"]),

    // What the author of a stage tests with
    library("StageTesting", ["StageKit", "System", "JSON", "HTTP", "Cryptography", "Registration"]),

    // From stages to what runs them in containers; pure, and knowing nothing of the rest
    library("Deployment", ["JSON"]),

    // No part of a deployment: the demo's and the tests' OpenCRVS, with its made-up births, and the tests' MOSIP
    library("StandIn", ["StageKit", "System", "JSON", "HTTP", "Cryptography", "Registration"]),

    // The program: everything but its start, which the program of somebody else has as well
    library(
      "RegprocMain",
      [
        "StageKit", "CRdKafka", "CPQ", "CYAML", "CZlib", "COpenSSL", "CCurl", "CUTF8Proc", "CMicroHTTPD", "CLinux", "CProcess",
        "System", "JSON", "YAML", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration", "Routing", "StageRuntime",
        "ObjectStores", "VirusScanning", "EmbeddedPlatform", "MosipPlatform", "OpenCRVS", "Stages", "Operations", "OperationsAPI",
        "Deployment", "StandIn",
      ]),
    .executableTarget(name: "regproc", dependencies: ["RegprocMain"], swiftSettings: strict),

    // What must hold of every reader, for `make fuzz` and for a short run in `make test`
    library(
      "Fuzzing",
      [
        "StageKit", "System", "JSON", "YAML", "HTTP", "Cryptography", "Registration", "Routing", "StageRuntime", "ObjectStores",
        "MosipPlatform", "OpenCRVS",
      ]),
    .testTarget(name: "FuzzingTests", dependencies: ["Fuzzing"], exclude: ["Corpus"], swiftSettings: strict),

    .testTarget(
      name: "InteropTests", dependencies: ["System", "JSON", "Cryptography", "Registration"], path: "Tests/Interop",
      exclude: ["java", "python"], swiftSettings: strict),

    // The yardsticks of docs/performance.md, and the C programs that engine and packets are measured against
    .target(name: "CForwarder", dependencies: ["CRdKafka"]),
    shim("CPacketReference", ["crypto", "z"]),
    .executableTarget(
      name: "regproc-bench",
      dependencies: [
        "StageKit", "CLinux", "System", "JSON", "Kafka", "Postgres", "Cryptography", "Registration", "Routing", "StageRuntime",
        "EmbeddedPlatform", "Operations", "HTTP", "StandIn", "CForwarder", "CPacketReference",
      ],
      swiftSettings: strict),

    // What tests of several targets need: a Postgres started once for all of them, the broker that they are given from outside,
    // an S3 server where one is installed, an authority of certificates, keys
    .target(
      name: "TestSupport",
      dependencies: ["StageKit", "CLinux", "System", "Kafka", "Postgres", "HTTP", "ObjectStores"],
      path: "Tests/Support", swiftSettings: strict),

    // Events for the tests of OpenCRVS and of the mediators
    .target(
      name: "TestEvents", dependencies: ["StageKit", "JSON", "Registration", "OpenCRVS"], path: "Tests/TestEvents",
      swiftSettings: strict),

    // The stage of docs/writing-a-stage.md, its test and a program with it: examples/swift-stage is a package of its own as well
    .target(
      name: "LateRegistration", dependencies: ["StageKit"], path: "examples/swift-stage/Sources/LateRegistration",
      swiftSettings: strict),
    .executableTarget(
      name: "example-regproc", dependencies: ["LateRegistration", "RegprocMain", "Stages"],
      path: "examples/swift-stage/Sources/example-regproc", swiftSettings: strict),
    .testTarget(
      name: "LateRegistrationTests", dependencies: ["StageTesting", "LateRegistration"],
      path: "examples/swift-stage/Tests/LateRegistrationTests", swiftSettings: strict),

    // What comments and pages say of each other
    tests("Books", []),
    tests("System", ["System"]),
    tests("JSON", ["JSON"]),
    tests("JSONSchema", ["JSON", "JSONSchema"]),
    tests("YAML", ["System", "YAML"]),
    tests("XML", ["XML"]),
    tests("Kafka", ["System", "Kafka", "TestSupport"]),
    tests("Postgres", ["System", "Postgres", "TestSupport"]),
    tests("HTTP", ["System", "HTTP", "TestSupport"]),
    tests("Cryptography", ["System", "Cryptography", "TestSupport"]),
    tests("Routing", ["System", "JSON", "YAML", "Registration", "Routing", "TestSupport"]),
    tests("Registration", ["System", "JSON", "Cryptography", "Registration", "TestSupport"]),
    tests("StageKit", ["StageKit", "System"]),
    tests(
      "StageRuntime",
      [
        "StageKit", "System", "JSON", "YAML", "Kafka", "Postgres", "HTTP", "Registration", "Routing", "StageRuntime",
        "EmbeddedPlatform", "TestSupport",
      ]),
    tests(
      "Operations",
      [
        "StageKit", "System", "JSON", "Postgres", "HTTP", "Registration", "Routing", "StageRuntime", "EmbeddedPlatform",
        "Operations", "OperationsAPI", "ObjectStores", "TestSupport",
      ]),
    tests("ObjectStores", ["StageKit", "System", "HTTP", "ObjectStores", "TestSupport"]),
    tests("VirusScanning", ["StageKit", "System", "JSON", "Registration", "VirusScanning", "EmbeddedPlatform", "TestSupport"]),
    tests(
      "EmbeddedPlatform",
      [
        "StageKit", "System", "JSON", "Postgres", "HTTP", "Cryptography", "Registration", "ObjectStores", "EmbeddedPlatform",
        "TestSupport",
      ]),
    tests(
      "MosipPlatform",
      [
        "StageKit", "System", "JSON", "Postgres", "HTTP", "Cryptography", "Registration", "ObjectStores", "EmbeddedPlatform",
        "MosipPlatform", "StandIn", "TestSupport",
      ]),
    tests(
      "OpenCRVS",
      [
        "StageKit", "StageTesting", "System", "JSON", "YAML", "HTTP", "Cryptography", "Registration", "OpenCRVS", "StandIn",
        "TestSupport", "TestEvents",
      ]),
    tests(
      "Stages",
      [
        "StageKit", "StageTesting", "System", "JSON", "YAML", "HTTP", "Cryptography", "Registration", "StageRuntime", "OpenCRVS",
        "Stages", "TestSupport", "TestEvents",
      ]),
    tests("Deployment", ["Deployment"]),
    tests("StandIn", ["System", "JSON", "HTTP", "Cryptography", "StandIn"]),
    tests(
      "Integration",
      [
        "StageKit", "System", "JSON", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration", "Routing", "StageRuntime",
        "EmbeddedPlatform", "MosipPlatform", "OpenCRVS", "Stages", "Operations", "OperationsAPI", "StandIn", "TestSupport",
      ]),
    // They start the built program.
    tests(
      "Program",
      [
        "StageKit", "RegprocMain", "CLinux", "System", "JSON", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration",
        "Routing", "StageRuntime", "ObjectStores", "EmbeddedPlatform", "MosipPlatform", "OpenCRVS", "Operations", "StandIn",
        "TestSupport",
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
