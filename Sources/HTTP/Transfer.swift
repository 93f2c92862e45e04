import CCurl
import Glibc
import Synchronization
import System

/// One request on its way through libcurl.
final class Transfer: @unchecked Sendable {
  // Safe to share: the mutable fields below `outcome` belong to the client's thread alone; the rest is constant, atomic or a Mutex.
  let request: ClientRequest
  let target: String
  /// Set by the task's cancellation, from any thread.
  let isCancelled = Atomic<Bool>(false)
  private let outcome: Mutex<CheckedContinuation<ClientResponse, any Error>?>

  private(set) var handle: UnsafeMutableRawPointer?
  private var headers = Headers()
  private var body: [UInt8] = []
  private var isTooLarge = false
  private var spool: Spool?
  private var spoolFailed = false
  /// How much of a source was sent.
  private var sent = 0
  private var list: UnsafeMutablePointer<curl_slist>?
  private var form: OpaquePointer?
  private var upload: UnsafeMutableBufferPointer<UInt8>?

  init(_ request: ClientRequest, target: String, _ continuation: CheckedContinuation<ClientResponse, any Error>) {
    self.request = request
    self.target = target
    outcome = Mutex(continuation)
  }

  /// Resumes the task, once.
  func finish(_ result: Result<ClientResponse, any Error>) {
    let continuation = outcome.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }
    continuation?.resume(with: result)
  }

  /// Makes the easy handle; nil if libcurl cannot.
  func prepare(_ settings: ClientSettings) -> UnsafeMutableRawPointer? {
    guard let handle = curl_easy_init() else { return nil }
    self.handle = handle
    let context = Unmanaged.passUnretained(self).toOpaque()
    func number(_ option: CURLoption, _ value: Int) { regproc_curl_set_number(handle, option, value) }
    func text(_ option: CURLoption, _ value: String) { regproc_curl_set_text(handle, option, value) }
    text(CURLOPT_URL, request.url)
    text(CURLOPT_PROTOCOLS_STR, "http,https")
    text(CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
    text(CURLOPT_PROXY, settings.proxy ?? "")
    number(CURLOPT_NOSIGNAL, 1)
    number(CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
    number(CURLOPT_FOLLOWLOCATION, settings.followsRedirects ? 1 : 0)
    number(CURLOPT_MAXREDIRS, 5)
    number(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
    number(CURLOPT_CONNECTTIMEOUT_MS, Self.milliseconds(settings.connectTimeoutSeconds))
    number(CURLOPT_TIMEOUT_MS, Self.milliseconds(request.timeoutSeconds ?? settings.timeoutSeconds))
    // A connection that idled longer may just be closed by the peer; libcurl would then send the request a second time.
    number(CURLOPT_MAXAGE_CONN, 15)
    number(CURLOPT_TCP_NODELAY, 1)
    if let file = settings.caFile {
      text(CURLOPT_CAINFO, file)
      // libcurl keeps what it read of the file for a day; authorities are renewed while a process runs.
      number(CURLOPT_CA_CACHE_TIMEOUT, 60)
    }
    if let identity = settings.identity {
      text(CURLOPT_SSLCERT, identity.certificate)
      text(CURLOPT_SSLKEY, identity.key)
    }
    if request.isSentOnce { number(CURLOPT_FRESH_CONNECT, 1) }
    if let signature = request.signature {
      text(CURLOPT_AWS_SIGV4, "aws:amz:\(signature.region):\(signature.service)")
      text(CURLOPT_USERNAME, signature.accessKey)
      text(CURLOPT_PASSWORD, signature.secretKey)
      // What is signed is the path as it is written.
      number(CURLOPT_PATH_AS_IS, 1)
    }
    regproc_curl_set_pointer(handle, CURLOPT_PRIVATE, context)
    regproc_curl_set_pointer(handle, CURLOPT_WRITEDATA, context)
    regproc_curl_set_pointer(handle, CURLOPT_HEADERDATA, context)
    regproc_curl_set_sink(handle, CURLOPT_WRITEFUNCTION, bodyArrived)
    regproc_curl_set_sink(handle, CURLOPT_HEADERFUNCTION, headerArrived)
    guard prepareBody(handle) else { return nil }
    for (name, value) in request.headers {
      // libcurl writes a field without value only for `Name;`.
      list = curl_slist_append(list, value.isEmpty ? "\(name);" : "\(name): \(value)")
    }
    regproc_curl_set_pointer(handle, CURLOPT_HTTPHEADER, list)
    return handle
  }

  private static func milliseconds(_ seconds: Double) -> Int { max(1, Int(min(seconds, 1e6) * 1000)) }

  private func prepareBody(_ handle: UnsafeMutableRawPointer) -> Bool {
    switch request.body {
    case .none where request.method == "HEAD": regproc_curl_set_number(handle, CURLOPT_NOBODY, 1)
    case .none where ["POST", "PUT", "PATCH"].contains(request.method): setBytes(handle, [])
    case .none: break
    case .bytes(let bytes): setBytes(handle, bytes)
    case .source(let source):
      let context = Unmanaged.passUnretained(self).toOpaque()
      regproc_curl_set_number(handle, CURLOPT_UPLOAD, 1)
      regproc_curl_set_size(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(source.count))
      regproc_curl_set_pointer(handle, CURLOPT_READDATA, context)
      regproc_curl_set_sink(handle, CURLOPT_READFUNCTION, bodyWanted)
      regproc_curl_set_pointer(handle, CURLOPT_SEEKDATA, context)
      regproc_curl_set_seek(handle, CURLOPT_SEEKFUNCTION, bodySought)
      // libcurl asks first whether the body is welcome; a server that does not know the question is not waited for. The field itself cannot
      // be taken out: libcurl 7.88 signs it all the same.
      regproc_curl_set_number(handle, CURLOPT_EXPECT_100_TIMEOUT_MS, 100)
    case .multipart(let parts):
      form = curl_mime_init(handle)
      for part in parts {
        guard let piece = curl_mime_addpart(form) else { return false }
        curl_mime_name(piece, part.name)
        var result = CURLE_OK
        switch part.content {
        case .bytes(let bytes):
          result = bytes.withUnsafeBytes { bytes in
            let start = bytes.bindMemory(to: CChar.self).baseAddress
            return start == nil ? curl_mime_data(piece, "", 0) : curl_mime_data(piece, start, bytes.count)
          }
        case .file(let path): result = curl_mime_filedata(piece, path)
        }
        guard result == CURLE_OK else { return false }
        // After the content: a file's own name would replace it.
        curl_mime_filename(piece, part.fileName)
        if let type = part.contentType { curl_mime_type(piece, type) }
      }
      regproc_curl_set_pointer(handle, CURLOPT_MIMEPOST, UnsafeRawPointer(form))
    }
    let hasBody = if case .none = request.body { false } else { true }
    if request.method != "GET" || hasBody {
      regproc_curl_set_text(handle, CURLOPT_CUSTOMREQUEST, request.method)
    }
    return true
  }

  private func setBytes(_ handle: UnsafeMutableRawPointer, _ bytes: [UInt8]) {
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(bytes.count, 1))
    _ = copy.initialize(from: bytes)
    upload = copy
    regproc_curl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
    regproc_curl_set_pointer(handle, CURLOPT_POSTFIELDS, copy.baseAddress)
    // libcurl would claim a form.
    if request.headers["Content-Type"] == nil { list = curl_slist_append(list, "Content-Type:") }
  }

  /// The next bytes of a source; nil when they cannot be read.
  func send(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    guard case .source(let source) = request.body else { return nil }
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, source.count - sent)])
    guard !part.isEmpty else { return 0 }
    guard (try? source.read(at: sent, into: part)) != nil else { return nil }
    sent += part.count
    return part.count
  }

  /// Goes to a place of a source, when it has to be sent again.
  func seek(_ offset: Int) -> Bool {
    guard case .source(let source) = request.body, (0...source.count).contains(offset) else { return false }
    sent = offset
    return true
  }

  func receive(body bytes: UnsafeRawBufferPointer) -> Bool {
    if request.spoolsAnswer { return receive(spooled: bytes) }
    guard body.count + bytes.count <= request.maxResponseBytes else {
      isTooLarge = true
      return false
    }
    body.append(contentsOf: bytes)
    return true
  }

  private func receive(spooled bytes: UnsafeRawBufferPointer) -> Bool {
    let spool = self.spool ?? Spool()
    self.spool = spool
    guard spool.count + bytes.count <= request.maxResponseBytes else {
      isTooLarge = true
      return false
    }
    spoolFailed = (try? spool.append(bytes)) == nil
    return !spoolFailed
  }

  func receive(header line: UnsafeRawBufferPointer) {
    // An interim response (100) or a followed redirect came before.
    if line.starts(with: "HTTP/".utf8) {
      headers = Headers()
      spool = nil
    }
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
    var value = line[(colon + 1)...].drop { $0 == 32 || $0 == 9 }
    while let last = value.last, [13, 10, 32, 9].contains(last) { value = value.dropLast() }
    headers.append(String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self))
  }

  /// What libcurl's result means.
  func result(_ code: CURLcode) -> Result<ClientResponse, any Error> {
    if code == CURLE_OK {
      var status = 0
      regproc_curl_get_number(handle, CURLINFO_RESPONSE_CODE, &status)
      var response = ClientResponse(status: status, headers: headers, body: body)
      if request.spoolsAnswer {
        let content: any ByteSource
        do { content = try spool?.finish() ?? MemorySource([]) } catch {
          return .failure(self.error(.unreadableFile, "the answer cannot be kept"))
        }
        // What is no answer is read as one of the others.
        if status < 300 { response.content = content } else { response.body = (try? content.bytes()) ?? [] }
      }
      return .success(response)
    }
    let kind: HTTPError.Code =
      switch code {
      case CURLE_OPERATION_TIMEDOUT: .timedOut
      case CURLE_COULDNT_CONNECT: .connectionRefused
      case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .resolve
      case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
        CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
        .tls
      case CURLE_WRITE_ERROR where isTooLarge: .tooLarge
      case CURLE_WRITE_ERROR where spoolFailed: .unreadableFile
      case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE, CURLE_SSL_SHUTDOWN_FAILED: .closed
      case CURLE_READ_ERROR, CURLE_ABORTED_BY_CALLBACK: .unreadableFile
      default: .protocol
      }
    return .failure(error(kind, String(cString: curl_easy_strerror(code))))
  }

  /// An error of this transfer as it stands now.
  func error(_ code: HTTPError.Code, _ reason: String) -> HTTPError {
    var sent = 0
    var started: curl_off_t = 0
    if let handle {
      regproc_curl_get_number(handle, CURLINFO_REQUEST_SIZE, &sent)
      regproc_curl_get_size(handle, CURLINFO_PRETRANSFER_TIME_T, &started)
    }
    return HTTPError(code, reason, target: target, requestMayHaveBeenSent: sent > 0 || started > 0)
  }

  /// Frees what libcurl was given. The handle is in no multi handle any more.
  func release() {
    if let handle { curl_easy_cleanup(handle) }
    if let form { curl_mime_free(form) }
    if let list { curl_slist_free_all(list) }
    upload?.deallocate()
    (handle, form, list, upload) = (nil, nil, nil, nil)
  }
}

private func transfer(_ context: UnsafeMutableRawPointer?) -> Transfer {
  Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
}

// What libcurl calls, on the client's thread. Fewer bytes than given end the transfer.
private let bodyArrived: regproc_curl_sink = { bytes, size, count, context in
  transfer(context).receive(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private let bodyWanted: regproc_curl_sink = { bytes, size, count, context in
  let buffer = UnsafeMutableRawBufferPointer(start: bytes, count: size * count)
  return transfer(context).send(into: buffer) ?? regproc_curl_read_abort
}

private let bodySought: regproc_curl_seek = { context, offset, origin in
  origin == SEEK_SET && transfer(context).seek(Int(offset)) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
}

private let headerArrived: regproc_curl_sink = { bytes, size, count, context in
  transfer(context).receive(header: UnsafeRawBufferPointer(start: bytes, count: size * count))
  return size * count
}
