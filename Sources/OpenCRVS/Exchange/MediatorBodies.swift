import JSON
import System

/// The readers of what the mediators' endpoints are sent, for those who put rubbish into them.
package enum MediatorBodies {
  /// What came of a body.
  package enum Reading: Equatable {
    /// The reader's own form of it.
    case read([UInt8])
    /// The code that the sender is answered with.
    case refused(String)
  }

  /// The JSON of a body.
  /// - Throws: OPN-CRVS-033 for text that is not UTF-8, -035 for more bytes than `largest`, -001 for anything else that is no JSON.
  package static func json(
    _ body: [UInt8], _ what: String, largest: Int = JSONLimits.standard.maximumBytes
  ) throws(MediatorError) -> JSONValue {
    do {
      return try JSONValue.parse(body, limits: JSONLimits(maximumBytes: largest))
    } catch  where error.code == .invalidUTF8 {
      // opencrvs/mosip-mediator cuts each character to one byte. What was there cannot be told from it.
      throw MediatorError(.notUTF8, "\(what) is not UTF-8: its sender must send UTF-8, and no text is guessed")
    } catch  where error.code == .tooLarge {
      throw EventLimits.refusal(of: what, above: largest)
    } catch {
      throw MediatorError(.unreadable, "\(what) is not readable JSON (\(error))")
    }
  }

  /// An event of OpenCRVS, with another application id.
  package static func webhook(_ body: [UInt8], applicationId: String) -> Reading {
    do { return .read(try OpenCRVSEvent(body).carrying(applicationId: applicationId)) } catch {
      return .refused(error.code.rawValue)
    }
  }

  /// A sealed and signed body of the other mediator, neither verified nor opened.
  package static func sealed(_ body: [UInt8]) -> Reading {
    do {
      let message = try SealedMessage(body, largest: EventLimits.sealed)
      return .read(message.encoded(.standard, at: Instant(milliseconds: 0)))
    } catch { return .refused(error.code.rawValue) }
  }
}
