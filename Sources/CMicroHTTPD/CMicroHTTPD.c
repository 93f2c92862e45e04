#include "CMicroHTTPD.h"
#include <string.h>

/// Whether the library is 1.0 or later: its parser was written anew, and has a level of strictness of its own.
static int is_strict_library(void) {
  const char *version = MHD_get_version();
  return version[0] >= '1' && version[0] <= '9';
}

struct MHD_Daemon *regproc_mhd_start(const struct regproc_mhd_start *s) {
  unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
  struct MHD_OptionItem tls[] = {
      {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)s->certificate},
      {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)s->key},
      {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)"NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"},
      {MHD_OPTION_END, 0, NULL},
  };
  struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
  // MHD_OPTION_CLIENT_DISCIPLINE_LVL, which headers before 1.0 do not have. 1: no bare LF, no continuation lines, no NUL.
  struct MHD_OptionItem strict[] = {
      {(enum MHD_OPTION)38, 1, NULL},
      {MHD_OPTION_END, 0, NULL},
  };
  if (s->certificate) flags |= MHD_USE_TLS;
  return MHD_start_daemon(
      flags, 0, NULL, NULL, s->request, s->context,
      MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
      MHD_OPTION_CONNECTION_LIMIT, s->connections,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, s->connections_per_address,
      MHD_OPTION_CONNECTION_TIMEOUT, s->idle_seconds,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->memory,
      MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)16384,
      MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_URI_LOG_CALLBACK, s->uri, s->context,
      MHD_OPTION_NOTIFY_COMPLETED, s->completed, s->context,
      MHD_OPTION_NOTIFY_CONNECTION, s->connection, s->context,
      MHD_OPTION_ARRAY, s->certificate ? tls : none,
      MHD_OPTION_ARRAY, is_strict_library() ? strict : none,
      MHD_OPTION_END);
}

void *regproc_mhd_socket_context(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

const struct sockaddr *regproc_mhd_client(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info ? info->client_addr : NULL;
}

int regproc_mhd_socket(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

size_t regproc_mhd_header_size(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info ? info->header_size : 0;
}

/// Where the next field must begin, while the fields are gone through.
struct walk {
  const char *at;
  int is_strict;
};

static enum MHD_Result next_field(
    void *context, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value, size_t value_size) {
  struct walk *walk = context;
  (void)kind;
  // The line before ended with exactly two bytes, both zero by now: CR and LF.
  if (name != walk->at || !value || value <= name + name_size) return walk->is_strict = 0, MHD_NO;
  // Between name and value: the colon, now zero, and blanks.
  if (name[name_size] != 0) return walk->is_strict = 0, MHD_NO;
  for (const char *blank = name + name_size + 1; blank < value; blank++)
    if (*blank != ' ' && *blank != '\t') return walk->is_strict = 0, MHD_NO;
  if (value[value_size] != 0 || value[value_size + 1] != 0) return walk->is_strict = 0, MHD_NO;
  walk->at = value + value_size + 2;
  return MHD_YES;
}

int regproc_mhd_head_is_strict(
    struct MHD_Connection *connection, const char *method, const char *url, size_t url_size, const char *version) {
  // 1.0 refuses by itself, and keeps its texts elsewhere.
  if (is_strict_library()) return 1;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  if (!info || !method || !url || !version) return 0;
  const char *end = method + info->header_size;
  // One blank each between method, target and version.
  if (url != method + strlen(method) + 1 || version != url + url_size + 1) return 0;
  const char *line_end = version + strlen(version);
  if (line_end + 4 > end || line_end[0] != 0 || line_end[1] != 0) return 0;
  struct walk walk = {line_end + 2, 1};
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, next_field, &walk);
  // Then the empty line.
  return walk.is_strict && walk.at + 2 == end && walk.at[0] == 0 && walk.at[1] == 0;
}
