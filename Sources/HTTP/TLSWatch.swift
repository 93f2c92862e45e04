import Synchronization
import System

/// How a server's certificate stands.
public struct TLSState: Sendable {
  /// The last moment at which the certificate in force counts.
  public var notAfter: Instant
  /// Why what is in the files now is not in force; nil when it is.
  public var refused: String?
  /// How often a change of the files was refused.
  public var failures: Int
}

/// The certificate in force of a server, which follows its files.
final class TLSWatch: Sendable {
  private struct Current {
    var credential: TLSCredential
    var state: TLSState
    /// The files as they are in force.
    var taken: TLSIdentity.Fingerprint?
    /// The files as they were when the last look found nothing usable.
    var failing: TLSIdentity.Fingerprint?
    /// The files as they were when a refusal was told.
    var told: TLSIdentity.Fingerprint?
    /// Whether it was told that the certificate in force is over.
    var toldEnd = false
  }

  private let files: TLSIdentity.Files?
  private let current: Mutex<Current>
  private let log: Log

  /// The identity must be usable. Throws `HTTPError` (`invalidSettings`).
  init(_ identity: TLSIdentity, log: Log) throws {
    self.log = log
    files = identity.files
    let credential = try TLSCredential(identity)
    let state = TLSState(notAfter: credential.notAfter, refused: nil, failures: 0)
    current = Mutex(Current(credential: credential, state: state, taken: identity.fingerprint))
    tellEnd()
  }

  /// For new connections.
  var credential: TLSCredential { current.withLock { $0.credential } }
  var state: TLSState { current.withLock { $0.state } }

  /// Takes what is in the files now, if it is another and can be used. Called by one thread, every few seconds.
  ///
  /// Files that cannot be used may be half written, or only one of two may be new: they count as refused when the next look finds them the same.
  func look() {
    tellEnd()
    guard let files else { return }
    let now = files.fingerprint
    let isTaken = current.withLock { current in
      guard current.taken == now else { return false }
      current.failing = nil
      current.state.refused = nil
      return true
    }
    if isTaken { return }
    do {
      let credential = try TLSCredential(try TLSIdentity(files))
      guard files.fingerprint == now else { return }
      guard credential.notAfter > .now else { throw HTTPError(.invalidSettings, "the certificate is over") }
      // Looked at again each time, so that its moment comes.
      guard credential.notBefore <= .now else { throw HTTPError(.invalidSettings, "the certificate does not count yet") }
      current.withLock { current in
        current.credential = credential
        current.taken = now
        current.failing = nil
        current.state.notAfter = credential.notAfter
        current.state.refused = nil
        current.toldEnd = false
      }
      log.info("a new certificate is in force", ["notAfter": credential.notAfter.iso])
    } catch {
      refuse(now, (error as? HTTPError)?.reason ?? "the files cannot be read")
    }
  }

  private func tellEnd() {
    let over = current.withLock { current -> Instant? in
      guard !current.toldEnd, current.state.notAfter <= .now else { return nil }
      current.toldEnd = true
      return current.state.notAfter
    }
    guard let over else { return }
    log.error("the certificate in force is over: clients refuse it", ["notAfter": over.iso])
  }

  private func refuse(_ now: TLSIdentity.Fingerprint, _ reason: String) {
    let isNews = current.withLock { current in
      guard current.failing == now else {
        current.failing = now
        return false
      }
      guard current.state.refused != reason || current.told != now else { return false }
      current.told = now
      current.state.refused = reason
      current.state.failures += 1
      return true
    }
    if isNews { log.error("the changed certificate is refused; the old one stays in force", ["error": reason]) }
  }
}
