import Testing

/// All tests of the running program. One at a time: each of them starts whole pipelines.
@Suite(.serialized, .timeLimit(.minutes(30))) enum ProgramTests {}
