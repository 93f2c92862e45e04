#ifndef REGPROC_CPACKETREFERENCE_H
#define REGPROC_CPACKETREFERENCE_H
// The yardstick of packets: what libcrypto and zlib need in plain C, all in memory, for the same files and checks.
#include <stddef.h>

struct packet_file {
  const char *name;
  const unsigned char *bytes;
  size_t size;
  /// Which hash it goes into: 0 none, 1 the data's, 2 the operations'.
  int hash;
};

struct packet_part {
  /// `id`, `evidence` or `optional`.
  const char *name;
  const struct packet_file *files;
  size_t count;
};

/// What the names and the clear-text metadata say.
struct packet_about {
  const char *rid;
  const char *source;
  const char *process;
  const char *ref_id;
  const char *time;
};

/// The keys, read once.
struct packet_keys;

/// NULL when a key cannot be read.
struct packet_keys *packet_keys_open(const unsigned char *certificate, size_t size, const char *decryption_pem, const char *signing_pem);
void packet_keys_close(struct packet_keys *keys);

/// Zips, hashes, signs and encrypts the parts and their container; 0, or -1. The caller frees the bytes.
int packet_reference_write(
    const struct packet_keys *keys, const struct packet_about *about, const struct packet_part *parts, size_t count,
    unsigned char **bytes, size_t *size);

/// Decrypts, verifies the signatures and hashes of the parts, unpacks every file and hashes it; 0, or -1.
/// `content` is how many bytes the files have.
int packet_reference_read(const struct packet_keys *keys, const unsigned char *bytes, size_t size, size_t *content);

void packet_reference_free(void *bytes);
#endif
