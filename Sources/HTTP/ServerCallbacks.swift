import CMicroHTTPD
import Glibc

// What libmicrohttpd calls, on its own thread. Named constants in a file of their own, so that no closure inherits an actor: the runtime would
// end the process when one is called on another thread.

private func core(_ context: UnsafeMutableRawPointer?) -> ServerCore {
  Unmanaged<ServerCore>.fromOpaque(context!).takeUnretainedValue()
}

private func connection(_ handle: OpaquePointer?) -> Connection? {
  regproc_mhd_socket_context(handle).map { Unmanaged<Connection>.fromOpaque($0).takeUnretainedValue() }
}

/// The request line is there.
let targetArrived: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, OpaquePointer?) -> UnsafeMutableRawPointer? = {
  _, target, handle in
  guard let connection = connection(handle), let target else { return nil }
  connection.target = String(cString: target)
  connection.targetBytes = strlen(target)
  connection.enter(.receiving)
  return nil
}

/// The head is there, bytes of the body are, or everything is.
let requestArrived: MHD_AccessHandlerCallback = { context, handle, url, method, version, bytes, count, _ in
  guard let handle, let connection = connection(handle), let count, let method else { return .NO }
  let core = core(context)
  if count.pointee > 0 {
    let data = UnsafeRawBufferPointer(start: bytes, count: count.pointee)
    count.pointee = 0
    return core.receive(connection, handle, data)
  }
  if connection.reception == nil, case .receiving = connection.phase {
    let isStrict = regproc_mhd_head_is_strict(handle, method, url, connection.targetBytes, version) != 0
    return core.begin(
      connection, handle, method: String(cString: method), version: version.map { String(cString: $0) } ?? "", isStrict: isStrict)
  }
  return core.complete(connection, handle)
}

/// A request is over.
let requestCompleted: MHD_RequestCompletedCallback = { context, handle, _, _ in
  if let connection = connection(handle) { core(context).finished(connection) }
}

/// A connection begins or ends.
let connectionChanged: MHD_NotifyConnectionCallback = { context, handle, slot, change in
  guard let handle, let slot else { return }
  if change == .CONNECTION_NOTIFY_STARTED {
    let connection = Connection(handle)
    slot.pointee = Unmanaged.passRetained(connection).toOpaque()
    core(context).opened(connection, handle)
  } else if let raw = slot.pointee {
    slot.pointee = nil
    core(context).closed(Unmanaged<Connection>.fromOpaque(raw).takeRetainedValue())
  }
}
