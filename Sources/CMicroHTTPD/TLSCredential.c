#include "TLSCredential.h"
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <stdlib.h>

struct regproc_tls {
  gnutls_certificate_credentials_t credential;
  gnutls_x509_crt_t certificate;
  int asks;
};

struct regproc_tls_peer {
  enum regproc_tls_verdict verdict;
};

static gnutls_datum_t datum(const void *bytes, size_t count) {
  gnutls_datum_t out = {(unsigned char *)bytes, (unsigned int)(count > INT_MAX ? INT_MAX : count)};
  return out;
}

// Called in the handshake, whether the client showed a certificate or not. What is not 0 ends the handshake, so that nothing of a request is
// ever read; libmicrohttpd by itself only asks for a certificate and takes whatever comes.
static int judge(gnutls_session_t session) {
  struct regproc_tls_peer *peer = gnutls_session_get_ptr(session);
  unsigned int count = 0, status = 0;
  if (!peer) return -1;
  gnutls_alert_description_t alert = GNUTLS_A_BAD_CERTIFICATE;
  if (!gnutls_certificate_get_peers(session, &count) || count == 0) {
    peer->verdict = regproc_tls_none;
    alert = gnutls_protocol_get_version(session) >= GNUTLS_TLS1_3 ? GNUTLS_A_CERTIFICATE_REQUIRED : GNUTLS_A_HANDSHAKE_FAILURE;
  } else {
    gnutls_typed_vdata_st use = {GNUTLS_DT_KEY_PURPOSE_OID, (void *)GNUTLS_KP_TLS_WWW_CLIENT, 0};
    if (gnutls_certificate_verify_peers(session, &use, 1, &status) == 0 && status == 0) {
      peer->verdict = regproc_tls_trusted;
      return 0;
    }
    unsigned int time = GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED;
    if ((status & time) && !(status & ~(time | GNUTLS_CERT_INVALID))) {
      peer->verdict = regproc_tls_expired;
      alert = GNUTLS_A_CERTIFICATE_EXPIRED;
    } else {
      peer->verdict = regproc_tls_foreign;
      alert = GNUTLS_A_UNKNOWN_CA;
    }
  }
  // So that whoever looks after the client is told why.
  gnutls_alert_send(session, GNUTLS_AL_FATAL, alert);
  return -1;
}

static struct regproc_tls *fail(struct regproc_tls *tls, const char **reason, const char *text) {
  *reason = text;
  regproc_tls_free(tls);
  return NULL;
}

struct regproc_tls *regproc_tls_make(
    const void *certificate, size_t certificate_count, const void *key, size_t key_count,
    const void *authorities, size_t authorities_count, const char **reason) {
  struct regproc_tls *tls = calloc(1, sizeof *tls);
  gnutls_datum_t chain = datum(certificate, certificate_count), secret = datum(key, key_count), leaf;
  if (!tls || gnutls_certificate_allocate_credentials(&tls->credential) != 0) return fail(tls, reason, "no memory");
  int code = gnutls_certificate_set_x509_key_mem(tls->credential, &chain, &secret, GNUTLS_X509_FMT_PEM);
  if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) return fail(tls, reason, "the key is not the certificate's");
  if (code < 0) return fail(tls, reason, "the certificate or its key is no PEM that can be read");
  if (gnutls_certificate_get_crt_raw(tls->credential, 0, 0, &leaf) != 0 || gnutls_x509_crt_init(&tls->certificate) != 0 ||
      gnutls_x509_crt_import(tls->certificate, &leaf, GNUTLS_X509_FMT_DER) != 0)
    return fail(tls, reason, "the certificate cannot be read");
  if (authorities) {
    gnutls_datum_t trusted = datum(authorities, authorities_count);
    if (gnutls_certificate_set_x509_trust_mem(tls->credential, &trusted, GNUTLS_X509_FMT_PEM) <= 0)
      return fail(tls, reason, "the authorities of clients are no PEM certificates");
    gnutls_certificate_set_verify_function(tls->credential, judge);
    tls->asks = 1;
  }
  return tls;
}

void regproc_tls_free(struct regproc_tls *tls) {
  if (!tls) return;
  if (tls->certificate) gnutls_x509_crt_deinit(tls->certificate);
  if (tls->credential) gnutls_certificate_free_credentials(tls->credential);
  free(tls);
}

int64_t regproc_tls_not_before(const struct regproc_tls *tls) { return gnutls_x509_crt_get_activation_time(tls->certificate); }

int64_t regproc_tls_not_after(const struct regproc_tls *tls) { return gnutls_x509_crt_get_expiration_time(tls->certificate); }

int regproc_tls_covers(const struct regproc_tls *tls, const char *host) {
  return gnutls_x509_crt_check_hostname(tls->certificate, host) != 0;
}

int64_t regproc_tls_first_end(const void *certificates, size_t count) {
  gnutls_datum_t text = datum(certificates, count);
  gnutls_x509_crt_t *list = NULL;
  unsigned int size = 0;
  int64_t first = -1;
  if (gnutls_x509_crt_list_import2(&list, &size, &text, GNUTLS_X509_FMT_PEM, 0) < 0) return -1;
  for (unsigned int at = 0; at < size; at++) {
    int64_t end = gnutls_x509_crt_get_expiration_time(list[at]);
    if (at == 0 || end < first) first = end;
    gnutls_x509_crt_deinit(list[at]);
  }
  gnutls_free(list);
  return first;
}

struct regproc_tls_peer *regproc_tls_use(struct MHD_Connection *connection, struct regproc_tls *tls) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  struct regproc_tls_peer *peer = calloc(1, sizeof *peer);
  if (!info || !info->tls_session || !peer) {
    free(peer);
    return NULL;
  }
  gnutls_session_t session = info->tls_session;
  // libmicrohttpd keeps its connection there, for pre-shared keys alone, which are not used here.
  gnutls_session_set_ptr(session, peer);
  // In place of the daemon's own, which is the one of its start for ever.
  if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credential) != 0) {
    free(peer);
    return NULL;
  }
  // Not "require": then GnuTLS would refuse without asking `judge`, and nobody would know of it.
  gnutls_certificate_server_set_request(session, tls->asks ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE);
  return peer;
}

enum regproc_tls_verdict regproc_tls_judged(const struct regproc_tls_peer *peer) { return peer->verdict; }

void regproc_tls_peer_free(struct regproc_tls_peer *peer) { free(peer); }
