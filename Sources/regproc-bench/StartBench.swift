/// From process start to the first message taken, and the memory of an idle stage.
struct StartBench {
  init(_ options: Options) throws {}

  func run() throws { throw Fault("not there yet") }
}
