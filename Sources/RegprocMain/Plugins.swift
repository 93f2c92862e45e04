import StageKit
import Stages
import Synchronization

/// The plugins of this program: those that it was given when it was started.
enum Plugins {
  private static let given = Mutex<[any StagePlugin.Type]>(Catalogue.plugins)

  /// All of them.
  static var all: [any StagePlugin.Type] { given.withLock { $0 } }

  /// The one of a name; nil when there is none.
  static func named(_ name: String) -> (any StagePlugin.Type)? { all.first { $0.spec.name == name } }

  /// Takes the program's plugins, once, before anything reads them.
  /// - Returns: a name that two of them have; nil when all is well.
  static func install(_ plugins: [any StagePlugin.Type]) -> String? {
    var seen: Set<String> = []
    for plugin in plugins where !seen.insert(plugin.spec.name).inserted { return plugin.spec.name }
    given.withLock { $0 = plugins }
    return nil
  }
}
