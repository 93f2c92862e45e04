#ifndef REGPROC_CMICROHTTPD_H
#define REGPROC_CMICROHTTPD_H
#include "TLSCredential.h"
#include <microhttpd.h>

/// What a daemon is started with: `MHD_start_daemon` is variadic, which Swift cannot call.
struct regproc_mhd_start {
  int listen_fd;
  unsigned int connections;
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
/// Bytes of the request's head.
size_t regproc_mhd_header_size(struct MHD_Connection *connection);
#endif
