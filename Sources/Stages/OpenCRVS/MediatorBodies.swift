import JSON
import Registration
import System

/// The readers of what the mediators' doors are sent, for those who put rubbish into them.
package enum MediatorBodies {
  /// What came of a body.
  package enum Reading: Equatable {
    /// The reader's own form of it.
    case read([UInt8])
    /// The code that the sender is answered with.
    case refused(String)
  }

  /// An event of OpenCRVS, with another application id.
  package static func webhook(_ body: [UInt8], applicationId: String) -> Reading {
    do { return .read(try CRVSEvent(body).carrying(applicationId: applicationId)) } catch { return .refused(error.code.rawValue) }
  }

  /// A sealed and signed body of the other mediator, neither verified nor opened.
  package static func sealed(_ body: [UInt8]) -> Reading {
    do {
      let message = try SealedMessage(body, largest: CRVSEvent.largest)
      return .read(message.encoded(.standard, at: Instant(milliseconds: 0)))
    } catch { return .refused(error.code.rawValue) }
  }
}
