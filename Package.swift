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

    // One library each, in Swift
    library("Kafka", ["CRdKafka", "System"]),
    library("Postgres", ["CPQ", "System"]),
    library("HTTP", ["CMicroHTTPD", "CCurl", "JSON", "System"]),
    library("Cryptography", ["COpenSSL", "System"]),

    // What the field is about
    library("Registration", ["JSON", "JSONSchema", "Cryptography", "CUTF8Proc", "CZlib", "System"]),
    library("Routing", ["Registration", "YAML", "JSON", "System"]),

    // What a stage author imports, the engine behind it, and what stages call
    library("StageKit", ["Registration", "HTTP", "Cryptography", "JSON", "System"]),
    library("StageRuntime", ["StageKit", "Kafka", "Postgres", "HTTP", "Routing", "YAML", "Cryptography"]),
    library("Platform", ["StageKit", "Registration", "Postgres", "HTTP", "Cryptography", "JSON"]),
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
        "CProcess", "Stages", "StageRuntime", "Operations", "OperationsAPI", "Platform", "MosipPlatform", "StandIn", "Deployment",
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
        "CForwarder", "CPacketReference", "Registration", "StageRuntime", "Operations", "Platform", "Kafka", "Postgres", "CLinux",
      ],
      swiftSettings: strict),

    // A Postgres for tests, started once for all of them
    .target(
      name: "TestDatabase", dependencies: ["Postgres", "System"], path: "Tests/TestDatabase", swiftSettings: strict),

    // An S3 server for tests, where one is installed
    .target(
      name: "TestS3", dependencies: ["MosipPlatform", "Platform", "TestDatabase", "CLinux"], path: "Tests/TestS3",
      swiftSettings: strict),

    // The broker that tests are given from outside, cleared for each of them
    .target(name: "TestKafka", dependencies: ["Kafka", "System"], path: "Tests/TestKafka", swiftSettings: strict),

    // An authority of certificates for tests
    .target(name: "TestTLS", dependencies: ["HTTP", "System"], path: "Tests/TestTLS", swiftSettings: strict),

    // What comments and pages say of each other
    tests("Books", []),
    tests("System", ["System"]),
    tests("JSON", ["JSON"]),
    tests("JSONSchema", ["JSONSchema", "JSON"]),
    tests("YAML", ["YAML"]),
    tests("Kafka", ["Kafka", "TestKafka"]),
    tests("Postgres", ["Postgres"]),
    tests("HTTP", ["HTTP", "TestTLS"]),
    tests("Cryptography", ["Cryptography"]),
    tests("Routing", ["Routing", "YAML", "JSON"]),
    tests("Registration", ["Registration"]),
    tests("StageKit", ["StageKit"]),
    tests("StageRuntime", ["StageRuntime", "StageKit", "Routing", "YAML", "Platform", "TestDatabase", "TestKafka"]),
    tests(
      "Operations",
      [
        "Operations", "OperationsAPI", "StageRuntime", "StageKit", "Stages", "Platform", "StandIn", "TestDatabase", "HTTP",
        "Routing",
      ]),
    tests("Platform", ["Platform", "TestDatabase"]),
    tests("MosipPlatform", ["MosipPlatform", "Platform", "StandIn", "TestDatabase", "TestS3", "Postgres"]),
    tests("Stages", ["Stages", "StageRuntime", "StandIn"]),
    tests("Deployment", ["Deployment", "YAML", "System"]),
    tests(
      "Integration", ["StageRuntime", "Operations", "OperationsAPI", "Stages", "Platform", "MosipPlatform", "StandIn", "TestKafka"]),
    // They start the built program.
    tests(
      "Program",
      [
        "regproc", "StageRuntime", "StandIn", "Platform", "Registration", "TestDatabase", "TestKafka", "TestS3", "TestTLS", "Kafka",
        "Postgres", "HTTP", "Routing",
        "JSON", "CLinux", "StageKit", "System",
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
