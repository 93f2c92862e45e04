import Testing

@testable import StageRuntime
