/// The steps that the checks of one file may take together, so that a file of many hard lists takes no longer than one.
final class CheckBudget {
  /// What is left of it.
  private(set) var left: Int

  /// A full one.
  init(_ steps: Int = 500_000) { left = steps }

  /// Does a check with a budget of at most so many steps, and takes off what it used.
  func spend<Result>(atMost most: Int, _ check: (_ budget: inout Int) -> Result) -> Result {
    let allowed = min(most, left)
    var budget = allowed
    let result = check(&budget)
    left -= allowed - max(0, budget)
    return result
  }
}
