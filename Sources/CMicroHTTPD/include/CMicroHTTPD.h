#ifndef REGPROC_CMICROHTTPD_H
#define REGPROC_CMICROHTTPD_H
#include "TLSCredential.h"
#include <microhttpd.h>

/// What a daemon is started with: `MHD_start_daemon` is variadic, which Swift cannot call.
struct regproc_mhd_start {
  int listen_fd;
  unsigned int connections;
  /// 0 for no limit.
  unsigned int connections_per_address;
  unsigned int idle_seconds;
  size_t memory;
  const char *certificate;
  const char *key;
  MHD_AccessHandlerCallback request;
  void *(*uri)(void *context, const char *uri, struct MHD_Connection *connection);
  MHD_RequestCompletedCallback completed;
  MHD_NotifyConnectionCallback connection;
  void *context;
};

/// Starts a daemon with one epoll thread and suspend/resume; TLS when there is a certificate.
struct MHD_Daemon *regproc_mhd_start(const struct regproc_mhd_start *start);
/// The pointer that the connection callback stored for this socket.
void *regproc_mhd_socket_context(struct MHD_Connection *connection);
/// The client's address.
const struct sockaddr *regproc_mhd_client(struct MHD_Connection *connection);
/// The connection's socket, -1 if there is none.
int regproc_mhd_socket(struct MHD_Connection *connection);
/// Whether the lines of a head end with CR LF and hold no NUL, none continues on the next, and the request line has single blanks. To be asked
/// when the access handler is first called for a request; `url_size` is the target's length when the URI callback got it.
///
/// libmicrohttpd before 1.0 tells none of this, but it parses in place: what it hands out lies in its read buffer as it came, CR, LF and colon
/// turned into zeros. What stands between two texts is therefore known by their addresses; whatever is not where it must be is refused.
/// NUL and LF together look like CR LF, and lines before the request line that are empty or begin with NUL are not seen.
int regproc_mhd_head_is_strict(
    struct MHD_Connection *connection, const char *method, const char *url, size_t url_size, const char *version);
/// Bytes of the request's head.
size_t regproc_mhd_header_size(struct MHD_Connection *connection);
#endif
