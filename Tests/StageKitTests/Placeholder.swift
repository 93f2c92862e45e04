import Testing

@testable import StageKit
