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
      ["System", "JSON", "YAML", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration", "Routing", "StageKit"]),
    library("ObjectStores", ["System", "JSON", "XML", "HTTP", "Cryptography", "StageKit"]),
    library("VirusScanning", ["System", "StageKit"]),
    library(
      "EmbeddedPlatform", ["System", "JSON", "Postgres", "HTTP", "Cryptography", "Registration", "StageKit", "ObjectStores"]),
    library("MosipPlatform", ["System", "JSON", "HTTP", "Cryptography", "Registration", "StageKit"]),
    // OpenCRVS' events, and what both mediators do with them
    library("OpenCRVS", ["System", "JSON", "YAML", "HTTP", "Cryptography", "Registration", "StageKit"]),
    library("Stages", ["System", "JSON", "HTTP", "Cryptography", "Registration", "StageKit", "OpenCRVS"]),

    // What operators see and do, which knows neither HTTP nor terminals, and its face over HTTP; the command line is the other one
    library("Operations", ["System", "JSON", "YAML", "Postgres", "Cryptography", "Routing", "StageKit", "StageRuntime"]),
    library("OperationsAPI", ["System", "JSON", "Postgres", "HTTP", "Routing", "StageKit", "StageRuntime", "Operations"]),

    // From stages to what runs them in containers; pure, and knowing nothing of the rest
    library("Deployment", ["JSON"]),

    // No part of a deployment: the demo's and the tests' OpenCRVS, with its made-up births, and the tests' MOSIP
    library("StandIn", ["System", "JSON", "HTTP", "Cryptography", "Registration", "StageKit"]),

    .executableTarget(
      name: "regproc",
      dependencies: [
        "CRdKafka", "CPQ", "CYAML", "CZlib", "COpenSSL", "CCurl", "CUTF8Proc", "CMicroHTTPD", "CLinux", "CProcess", "System",
        "JSON", "YAML", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration", "Routing", "StageKit", "StageRuntime",
        "ObjectStores", "VirusScanning", "EmbeddedPlatform", "MosipPlatform", "OpenCRVS", "Stages", "Operations", "OperationsAPI",
        "Deployment", "StandIn",
      ],
      swiftSettings: strict),

    // What must hold of every reader, for `make fuzz` and for a short run in `make test`
    library(
      "Fuzzing",
      [
        "System", "JSON", "YAML", "HTTP", "Cryptography", "Registration", "Routing", "StageKit", "StageRuntime", "ObjectStores",
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
        "CLinux", "System", "JSON", "Kafka", "Postgres", "Cryptography", "Registration", "Routing", "StageKit", "StageRuntime",
        "EmbeddedPlatform", "Operations", "CForwarder", "CPacketReference",
      ],
      swiftSettings: strict),

    // What tests of several targets need: a Postgres started once for all of them, the broker that they are given from outside,
    // an S3 server where one is installed, an authority of certificates, keys
    .target(
      name: "TestSupport",
      dependencies: ["CLinux", "System", "Kafka", "Postgres", "HTTP", "StageKit", "ObjectStores"],
      path: "Tests/Support", swiftSettings: strict),

    // Events for the tests of OpenCRVS and of the mediators
    .target(
      name: "TestEvents", dependencies: ["JSON", "Registration", "StageKit", "OpenCRVS"], path: "Tests/TestEvents",
      swiftSettings: strict),

    // What comments and pages say of each other
    tests("Books", []),
    tests("System", ["System"]),
    tests("JSON", ["JSON"]),
    tests("JSONSchema", ["JSON", "JSONSchema"]),
    tests("YAML", ["System", "YAML"]),
    tests("XML", ["XML"]),
    tests("Kafka", ["System", "Kafka", "TestSupport"]),
    tests("Postgres", ["System", "Postgres"]),
    tests("HTTP", ["System", "HTTP", "TestSupport"]),
    tests("Cryptography", ["System", "Cryptography", "TestSupport"]),
    tests("Routing", ["System", "JSON", "YAML", "Registration", "Routing"]),
    tests("Registration", ["System", "JSON", "Cryptography", "Registration", "TestSupport"]),
    tests("StageKit", ["System", "StageKit"]),
    tests(
      "StageRuntime",
      [
        "System", "JSON", "YAML", "Kafka", "Postgres", "HTTP", "Registration", "Routing", "StageKit", "StageRuntime",
        "EmbeddedPlatform", "TestSupport",
      ]),
    tests(
      "Operations",
      [
        "System", "JSON", "Postgres", "HTTP", "Registration", "Routing", "StageKit", "StageRuntime", "EmbeddedPlatform",
        "Operations", "OperationsAPI", "TestSupport",
      ]),
    tests("ObjectStores", ["System", "HTTP", "StageKit", "ObjectStores", "TestSupport"]),
    tests("VirusScanning", ["System", "JSON", "Registration", "StageKit", "VirusScanning", "EmbeddedPlatform", "TestSupport"]),
    tests(
      "EmbeddedPlatform",
      [
        "System", "JSON", "Postgres", "HTTP", "Cryptography", "Registration", "StageKit", "ObjectStores", "EmbeddedPlatform",
        "TestSupport",
      ]),
    tests(
      "MosipPlatform",
      [
        "System", "JSON", "Postgres", "HTTP", "Cryptography", "Registration", "StageKit", "ObjectStores", "EmbeddedPlatform",
        "MosipPlatform", "StandIn", "TestSupport",
      ]),
    tests("OpenCRVS", ["System", "JSON", "YAML", "HTTP", "Registration", "StageKit", "OpenCRVS", "StandIn", "TestEvents"]),
    tests(
      "Stages",
      [
        "System", "JSON", "YAML", "HTTP", "Cryptography", "Registration", "StageKit", "StageRuntime", "OpenCRVS", "Stages",
        "TestEvents",
      ]),
    tests("Deployment", ["Deployment"]),
    tests(
      "Integration",
      [
        "System", "JSON", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration", "Routing", "StageKit", "StageRuntime",
        "EmbeddedPlatform", "MosipPlatform", "OpenCRVS", "Stages", "Operations", "OperationsAPI", "StandIn", "TestSupport",
      ]),
    // They start the built program.
    tests(
      "Program",
      [
        "CLinux", "System", "JSON", "Kafka", "Postgres", "HTTP", "Cryptography", "Registration", "Routing", "StageKit",
        "StageRuntime", "ObjectStores", "EmbeddedPlatform", "MosipPlatform", "OpenCRVS", "StandIn", "regproc", "TestSupport",
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
