/// The most bytes of what goes from OpenCRVS to MOSIP and back. Whatever takes, makes or reads it goes by these, endpoint or command; what is
/// larger is OPN-CRVS-035 everywhere. On the bus are references alone, and the object store takes what is larger by far.
package enum EventLimits {
  /// An event as OpenCRVS sends it.
  package static let event = 52_428_800
  /// The same with what the OpenCRVS-side mediator adds to it: an application id, and types in the form of both mediators.
  package static let forwarded = event + (1 << 20)
  /// The body with a forwarded event in it: base64 and the members around it.
  package static let sealed = forwarded / 3 * 4 + (1 << 20)
  /// The body with a token or a result in it, on the way back.
  package static let result = 1 << 20

  /// Says that something has too many bytes.
  package static func refusal(of what: String, above most: Int) -> MediatorError {
    MediatorError(.tooLarge, "\(what) has more than \(most) bytes")
  }
}
