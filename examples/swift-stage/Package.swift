// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "swift-stage",
  dependencies: [.package(name: "regproc", path: "../..")],
  targets: [
    .target(name: "LateRegistration", dependencies: [.product(name: "StageKit", package: "regproc")]),
    .executableTarget(
      name: "example-regproc", dependencies: ["LateRegistration", .product(name: "RegprocMain", package: "regproc")]),
    .testTarget(
      name: "LateRegistrationTests", dependencies: ["LateRegistration", .product(name: "StageTesting", package: "regproc")]),
  ])
