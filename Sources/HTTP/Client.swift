import CCurl
import Synchronization
import System

/// An HTTP/1.1 client: one thread with a libcurl multi handle, which keeps connections open and uses them again.
///
/// TLS certificates and host names are checked; only `http` and `https` are spoken. When a kept connection turns out to be dead before
/// a byte of the answer came, libcurl sends the request again on a new one: give what must not run twice an idempotency key.
public final class Client: Sendable {
  private let loop: ClientLoop

  /// A client; its thread lives until `close` or until the client is gone.
  public init(_ settings: ClientSettings = ClientSettings()) { loop = ClientLoop(settings) }

  deinit { loop.close() }

  /// Sends a request and waits for the whole response, whatever its status. Throws `HTTPError`. Cancelling the task aborts the transfer.
  public func send(_ request: ClientRequest) async throws -> ClientResponse {
    guard let target = URLText.target(request.url) else {
      throw HTTPError(.protocol, "the URL is not one of http or https without user")
    }
    guard request.headers.allSatisfy({ Headers.isWritable($0.name, $0.value) }), Headers.isWritable(request.method, "")
    else {
      throw HTTPError(.protocol, "the method or a header field cannot be written", target: target)
    }
    let box = Mutex<Transfer?>(nil)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let transfer = Transfer(request, target: target, continuation)
        box.withLock { $0 = transfer }
        // The task may have been cancelled before there was a transfer to tell.
        if Task.isCancelled { transfer.isCancelled.store(true, ordering: .relaxed) }
        loop.submit(.start(transfer))
      }
    } onCancel: {
      guard let transfer = box.withLock({ $0 }) else { return }
      transfer.isCancelled.store(true, ordering: .relaxed)
      loop.submit(.cancel(transfer))
    }
  }

  /// Aborts what is under way (`closed`) and ends the thread. Later requests fail with `closed`.
  public func close() { loop.close() }
}

/// The client's thread and its inbox.
final class ClientLoop: Sendable {
  enum Command {
    case start(Transfer)
    case cancel(Transfer)
  }

  private struct Inbox {
    var commands: [Command] = []
    var closed = false
    /// The multi handle as a bit pattern (a raw pointer is not Sendable), to wake its thread; nil once that has ended.
    var multi: UInt?
  }

  /// libcurl's global state, made once.
  private static let ready: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
  private let inbox: Mutex<Inbox>
  private let settings: ClientSettings

  init(_ settings: ClientSettings) {
    precondition(Self.ready, "libcurl cannot be used")
    self.settings = settings
    let multi = curl_multi_init()!
    regproc_curl_multi_set_number(multi, CURLMOPT_MAX_HOST_CONNECTIONS, settings.maxConnectionsPerHost)
    inbox = Mutex(Inbox(multi: UInt(bitPattern: multi)))
    let address = UInt(bitPattern: multi)
    OwnedThread.start("http-client") { self.run(UnsafeMutableRawPointer(bitPattern: address)!) }
  }

  func submit(_ command: Command) {
    let taken = inbox.withLock { inbox in
      guard !inbox.closed, let multi = inbox.multi else { return false }
      inbox.commands.append(command)
      curl_multi_wakeup(UnsafeMutableRawPointer(bitPattern: multi))
      return true
    }
    if !taken, case .start(let transfer) = command {
      transfer.finish(.failure(transfer.error(.closed, "the client is closed")))
    }
  }

  func close() {
    inbox.withLock { inbox in
      inbox.closed = true
      if let multi = inbox.multi { curl_multi_wakeup(UnsafeMutableRawPointer(bitPattern: multi)) }
    }
  }

  private func run(_ multi: UnsafeMutableRawPointer) {
    var running: [ObjectIdentifier: Transfer] = [:]
    while true {
      let (commands, closed) = inbox.withLock { inbox in
        defer { inbox.commands = [] }
        return (inbox.commands, inbox.closed)
      }
      for command in commands {
        switch command {
        case .start(let transfer): start(transfer, multi, &running)
        case .cancel(let transfer):
          guard running[ObjectIdentifier(transfer)] != nil else { continue }
          end(transfer, multi, &running, .failure(transfer.error(.cancelled, "the task was cancelled")))
        }
      }
      if closed { break }
      var active: Int32 = 0
      curl_multi_perform(multi, &active)
      collect(multi, &running)
      curl_multi_poll(multi, nil, 0, 60_000, nil)
    }
    for transfer in running.values {
      end(transfer, multi, &running, .failure(transfer.error(.closed, "the client was closed")))
    }
    inbox.withLock { $0.multi = nil }
    curl_multi_cleanup(multi)
  }

  private func start(
    _ transfer: Transfer, _ multi: UnsafeMutableRawPointer, _ running: inout [ObjectIdentifier: Transfer]
  ) {
    if transfer.isCancelled.load(ordering: .relaxed) {
      return transfer.finish(.failure(transfer.error(.cancelled, "the task was cancelled")))
    }
    guard let handle = transfer.prepare(settings), curl_multi_add_handle(multi, handle) == CURLM_OK else {
      transfer.finish(.failure(transfer.error(.unreadableFile, "the request's body cannot be read")))
      return transfer.release()
    }
    running[ObjectIdentifier(transfer)] = transfer
  }

  private func collect(_ multi: UnsafeMutableRawPointer, _ running: inout [ObjectIdentifier: Transfer]) {
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left) {
      guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
      let code = regproc_curl_message_result(message)
      var context: UnsafeMutableRawPointer?
      regproc_curl_get_pointer(handle, CURLINFO_PRIVATE, &context)
      guard let context else { continue }
      let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
      end(transfer, multi, &running, transfer.result(code))
    }
  }

  private func end(
    _ transfer: Transfer, _ multi: UnsafeMutableRawPointer, _ running: inout [ObjectIdentifier: Transfer],
    _ result: Result<ClientResponse, any Error>
  ) {
    running[ObjectIdentifier(transfer)] = nil
    if let handle = transfer.handle { curl_multi_remove_handle(multi, handle) }
    transfer.release()
    transfer.finish(result)
  }
}
