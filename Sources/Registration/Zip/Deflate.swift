import CZlib

/// zlib's raw deflate (RFC 1951), piece by piece. The stream stands at one address, which zlib insists on.
final class Deflater {
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
  /// zlib's default: what Java's ZipOutputStream packs with as well.
  static let level: Int32 = 6

  init() throws {
    stream.initialize(to: z_stream())
    guard
      deflateInit2_(
        stream, Self.level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size))
        == Z_OK
    else { throw PacketError(.badZip, "no memory") }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
    buffer.deallocate()
  }

  /// Makes ready for another entry.
  func reset() { deflateReset(stream) }

  /// Packs the next bytes; `ends` says that they are the last.
  func update(_ bytes: UnsafeRawBufferPointer, ends: Bool = false, _ sink: (UnsafeRawBufferPointer) throws -> Void)
    throws
  {
    var at = 0
    repeat {
      // zlib counts in 32 bits.
      let count = min(bytes.count - at, 1 << 30)
      stream.pointee.next_in = bytes.baseAddress.map {
        UnsafeMutablePointer(mutating: ($0 + at).assumingMemoryBound(to: UInt8.self))
      }
      stream.pointee.avail_in = UInt32(count)
      at += count
      let flush = ends && at == bytes.count ? Z_FINISH : Z_NO_FLUSH
      repeat {
        stream.pointee.next_out = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(buffer.count)
        guard deflate(stream, flush) != Z_STREAM_ERROR else { throw PacketError(.badZip, "no zip can be made") }
        let filled = buffer.count - Int(stream.pointee.avail_out)
        if filled > 0 { try sink(UnsafeRawBufferPointer(rebasing: buffer[..<filled])) }
      } while stream.pointee.avail_out == 0
    } while at < bytes.count
  }
}

/// zlib's raw inflate, piece by piece.
final class Inflater {
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
  /// Whether the packed bytes have come to their own end.
  private(set) var isAtEnd = false

  init() throws {
    stream.initialize(to: z_stream())
    guard inflateInit2_(stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw PacketError(.badZip, "no memory")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    buffer.deallocate()
  }

  /// Unpacks the next bytes, which are fewer than 4 GiB.
  /// - Throws: `PacketError` `badZip` for what is not deflated, and for bytes behind the end.
  func update(_ bytes: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
    stream.pointee.next_in = bytes.baseAddress.map {
      UnsafeMutablePointer(mutating: $0.assumingMemoryBound(to: UInt8.self))
    }
    stream.pointee.avail_in = UInt32(bytes.count)
    while !isAtEnd {
      stream.pointee.next_out = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(buffer.count)
      let result = inflate(stream, Z_NO_FLUSH)
      let filled = buffer.count - Int(stream.pointee.avail_out)
      if filled > 0 { try sink(UnsafeRawBufferPointer(rebasing: buffer[..<filled])) }
      switch result {
      case Z_STREAM_END: isAtEnd = true
      case Z_OK where stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0: continue
      // All input is used up.
      case Z_OK, Z_BUF_ERROR: return
      default: throw PacketError(.badZip, "an entry is damaged")
      }
    }
    guard stream.pointee.avail_in == 0 else { throw PacketError(.badZip, "an entry with bytes behind its end") }
  }
}

/// CRC-32 as zips have it.
struct CRC {
  private(set) var value: UInt = crc32(0, nil, 0)

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    value = crc32_z(value, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
  }
}
