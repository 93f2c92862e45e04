#ifndef REGPROC_TLS_CREDENTIAL_H
#define REGPROC_TLS_CREDENTIAL_H
#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

/// A certificate chain, its key, and whom clients must be certified by. Constant once it is made.
struct regproc_tls;
/// What one connection's handshake found out about its client.
struct regproc_tls_peer;

/// How a client's certificate was judged.
enum regproc_tls_verdict {
  /// Nobody asked for a certificate, or the handshake has not come so far.
  regproc_tls_unjudged = 0,
  regproc_tls_trusted,
  /// The client showed none.
  regproc_tls_none,
  /// It is over, or does not count yet.
  regproc_tls_expired,
  /// It is not of an authority that is asked for, or is not for clients.
  regproc_tls_foreign,
};

/// Makes a credential from PEM; NULL, with the reason, when it cannot be used. `authorities` may be NULL: clients need no certificate then.
struct regproc_tls *regproc_tls_make(
    const void *certificate, size_t certificate_count, const void *key, size_t key_count,
    const void *authorities, size_t authorities_count, const char **reason);
void regproc_tls_free(struct regproc_tls *tls);
/// The moments, in seconds since 1970, between which its certificate counts.
int64_t regproc_tls_not_before(const struct regproc_tls *tls);
int64_t regproc_tls_not_after(const struct regproc_tls *tls);
/// Whether its certificate is for this name or address.
int regproc_tls_covers(const struct regproc_tls *tls, const char *host);

/// The first moment, in seconds since 1970, at which one of these PEM certificates ends; -1 when there is none that can be read.
int64_t regproc_tls_first_end(const void *certificates, size_t count);

/// Has a connection, whose handshake has not begun, use a credential; NULL when it cannot. The credential must outlive the connection.
/// To be freed when the connection has ended.
struct regproc_tls_peer *regproc_tls_use(struct MHD_Connection *connection, struct regproc_tls *tls);
enum regproc_tls_verdict regproc_tls_judged(const struct regproc_tls_peer *peer);
void regproc_tls_peer_free(struct regproc_tls_peer *peer);
#endif
