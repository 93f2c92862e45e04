#include "include/CPacketReference.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { NONCE = 12, AAD = 32, THUMBPRINT = 32, KEY = 32, TAG = 16, DIGEST = 32 };
static const char SPLITTER[] = "#KEY_SPLITTER#";
#define SPLITTER_SIZE (sizeof SPLITTER - 1)

struct packet_keys {
  EVP_PKEY *recipient, *decryption, *signing;
  unsigned char thumbprint[THUMBPRINT];
};

struct buffer {
  unsigned char *bytes;
  size_t size, room;
};

static int reserve(struct buffer *out, size_t more) {
  if (out->size + more <= out->room) return 0;
  size_t room = out->room * 2 > out->size + more ? out->room * 2 : out->size + more;
  unsigned char *bytes = realloc(out->bytes, room);
  if (!bytes) return -1;
  out->bytes = bytes;
  out->room = room;
  return 0;
}

static int put(struct buffer *out, const void *bytes, size_t size) {
  if (reserve(out, size)) return -1;
  memcpy(out->bytes + out->size, bytes, size);
  out->size += size;
  return 0;
}

static void put16(unsigned char *at, unsigned value) { at[0] = value & 255, at[1] = value >> 8 & 255; }
static void put32(unsigned char *at, uint32_t value) { put16(at, value & 0xffff), put16(at + 2, value >> 16); }
static unsigned get16(const unsigned char *at) { return at[0] | at[1] << 8; }
static uint32_t get32(const unsigned char *at) { return get16(at) | (uint32_t)get16(at + 2) << 16; }

// Keys

static EVP_PKEY *read_key(const char *pem) {
  BIO *bio = BIO_new_mem_buf(pem, -1);
  EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
  BIO_free(bio);
  return key;
}

struct packet_keys *packet_keys_open(const unsigned char *certificate, size_t size, const char *decryption_pem, const char *signing_pem) {
  struct packet_keys *keys = calloc(1, sizeof *keys);
  const unsigned char *at = certificate;
  X509 *x509 = d2i_X509(NULL, &at, (long)size);
  if (!keys || !x509) goto failed;
  keys->recipient = X509_get_pubkey(x509);
  keys->decryption = read_key(decryption_pem);
  keys->signing = read_key(signing_pem);
  EVP_Digest(certificate, size, keys->thumbprint, NULL, EVP_sha256(), NULL);
  X509_free(x509);
  if (keys->recipient && keys->decryption && keys->signing) return keys;
  packet_keys_close(keys);
  return NULL;
failed:
  X509_free(x509);
  free(keys);
  return NULL;
}

void packet_keys_close(struct packet_keys *keys) {
  if (!keys) return;
  EVP_PKEY_free(keys->recipient);
  EVP_PKEY_free(keys->decryption);
  EVP_PKEY_free(keys->signing);
  free(keys);
}

void packet_reference_free(void *bytes) { free(bytes); }

static EVP_PKEY_CTX *oaep(EVP_PKEY *key, int (*start)(EVP_PKEY_CTX *)) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
  if (context && start(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
      EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1)
    return context;
  EVP_PKEY_CTX_free(context);
  return NULL;
}

// Packet encryption

static int seal(const struct packet_keys *keys, const unsigned char *plain, size_t size, struct buffer *out) {
  size_t modulus = (size_t)EVP_PKEY_get_size(keys->recipient);
  size_t head = NONCE + AAD + THUMBPRINT + modulus + SPLITTER_SIZE;
  if (reserve(out, head + size + TAG)) return -1;
  unsigned char *to = out->bytes + out->size, key[KEY];
  RAND_bytes(to, NONCE + AAD);
  RAND_bytes(key, KEY);
  memcpy(to + NONCE + AAD, keys->thumbprint, THUMBPRINT);
  int failed = 1, written = 0;
  EVP_PKEY_CTX *wrap = oaep(keys->recipient, EVP_PKEY_encrypt_init);
  EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
  if (wrap && cipher && EVP_PKEY_encrypt(wrap, to + NONCE + AAD + THUMBPRINT, &modulus, key, KEY) == 1) {
    memcpy(to + head - SPLITTER_SIZE, SPLITTER, SPLITTER_SIZE);
    failed = EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, to) != 1 ||
             EVP_EncryptUpdate(cipher, NULL, &written, to + NONCE, AAD) != 1 ||
             EVP_EncryptUpdate(cipher, to + head, &written, plain, (int)size) != 1 ||
             EVP_EncryptFinal_ex(cipher, to + head + size, &written) != 1 ||
             EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG, to + head + size) != 1;
  }
  EVP_CIPHER_CTX_free(cipher);
  EVP_PKEY_CTX_free(wrap);
  OPENSSL_cleanse(key, KEY);
  out->size += head + size + TAG;
  return failed ? -1 : 0;
}

static int unseal(const struct packet_keys *keys, const unsigned char *blob, size_t size, struct buffer *out) {
  size_t modulus = (size_t)EVP_PKEY_get_size(keys->decryption);
  size_t head = NONCE + AAD + THUMBPRINT + modulus + SPLITTER_SIZE;
  if (size < head + TAG || memcmp(blob + head - SPLITTER_SIZE, SPLITTER, SPLITTER_SIZE) ||
      memcmp(blob + NONCE + AAD, keys->thumbprint, THUMBPRINT))
    return -1;
  size_t plain = size - head - TAG, key_size = 512;
  if (reserve(out, plain + 1)) return -1;
  unsigned char key[512];
  int failed = 1, written = 0;
  EVP_PKEY_CTX *wrap = oaep(keys->decryption, EVP_PKEY_decrypt_init);
  EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
  if (wrap && cipher && EVP_PKEY_decrypt(wrap, key, &key_size, blob + NONCE + AAD + THUMBPRINT, modulus) == 1 && key_size == KEY)
    failed = EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, blob) != 1 ||
             EVP_DecryptUpdate(cipher, NULL, &written, blob + NONCE, AAD) != 1 ||
             EVP_DecryptUpdate(cipher, out->bytes, &written, blob + head, (int)plain) != 1 ||
             EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(blob + size - TAG)) != 1 ||
             EVP_DecryptFinal_ex(cipher, out->bytes + plain, &written) != 1;
  EVP_CIPHER_CTX_free(cipher);
  EVP_PKEY_CTX_free(wrap);
  OPENSSL_cleanse(key, sizeof key);
  out->size = plain;
  return failed ? -1 : 0;
}

// Zip

struct entry {
  const char *name;
  size_t name_size, packed, size, offset;
  uint32_t crc;
  unsigned method;
};

static void fields(unsigned char *at, const struct entry *entry) {
  put16(at, 20), put16(at + 2, 1 << 11), put16(at + 4, entry->method), put32(at + 6, 0x5a21 << 16);
  put32(at + 10, entry->crc), put32(at + 14, (uint32_t)entry->packed), put32(at + 18, (uint32_t)entry->size);
  put16(at + 22, (unsigned)entry->name_size), put16(at + 24, 0);
}

/// Adds an entry: packed when that makes it smaller and `pack` asks for it.
static int add(struct buffer *zip, z_stream *packer, struct entry *entry, const char *name, const unsigned char *bytes, size_t size, int pack) {
  *entry = (struct entry){.name = name, .name_size = strlen(name), .size = size, .packed = size, .offset = zip->size};
  size_t bound = pack ? deflateBound(packer, size) : size;
  if (reserve(zip, 30 + entry->name_size + (bound > size ? bound : size))) return -1;
  unsigned char *head = zip->bytes + zip->size, *body = head + 30 + entry->name_size;
  entry->crc = (uint32_t)crc32_z(crc32(0, NULL, 0), bytes, size);
  if (pack) {
    deflateReset(packer);
    packer->next_in = (unsigned char *)bytes, packer->avail_in = (unsigned)size;
    packer->next_out = body, packer->avail_out = (unsigned)bound;
    if (deflate(packer, Z_FINISH) != Z_STREAM_END) return -1;
    if (packer->total_out < size) entry->packed = packer->total_out, entry->method = 8;
  }
  if (entry->method == 0) memcpy(body, bytes, size);
  put32(head, 0x04034b50), fields(head + 4, entry), memcpy(head + 30, name, entry->name_size);
  zip->size += 30 + entry->name_size + entry->packed;
  return 0;
}

static int finish(struct buffer *zip, const struct entry *entries, size_t count) {
  size_t start = zip->size;
  for (size_t i = 0; i < count; i++) {
    unsigned char record[46] = {0};
    put32(record, 0x02014b50), put16(record + 4, 3 << 8 | 20), fields(record + 6, &entries[i]);
    put32(record + 38, 0100600u << 16), put32(record + 42, (uint32_t)entries[i].offset);
    if (put(zip, record, 46) || put(zip, entries[i].name, entries[i].name_size)) return -1;
  }
  unsigned char end[22] = {0};
  put32(end, 0x06054b50), put16(end + 8, (unsigned)count), put16(end + 10, (unsigned)count);
  put32(end + 12, (uint32_t)(zip->size - start)), put32(end + 16, (uint32_t)start);
  return put(zip, end, 22);
}

// Writing

static void base64url(const unsigned char *bytes, size_t size, char *text) {
  size_t count = (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
  for (size_t i = 0; i < count; i++) text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
  while (count > 0 && text[count - 1] == '=') count--;
  text[count] = 0;
}

static int write_part(
    const struct packet_keys *keys, const struct packet_about *about, const struct packet_part *part, z_stream *packer,
    struct buffer *zip, struct buffer *sealed, char *metadata, size_t metadata_room) {
  struct entry entries[64];
  if (part->count > 64) return -1;
  EVP_MD_CTX *hashes[2] = {EVP_MD_CTX_new(), EVP_MD_CTX_new()}, *signing = EVP_MD_CTX_new();
  unsigned char digest[DIGEST], signature[1024];
  size_t signature_size = sizeof signature;
  int failed = 0;
  for (int i = 0; i < 2; i++) EVP_DigestInit_ex(hashes[i], EVP_sha256(), NULL);
  zip->size = sealed->size = 0;
  for (size_t i = 0; i < part->count && !failed; i++) {
    const struct packet_file *file = &part->files[i];
    if (file->hash) EVP_DigestUpdate(hashes[file->hash - 1], file->bytes, file->size);
    failed = add(zip, packer, &entries[i], file->name, file->bytes, file->size, 1);
  }
  // The hash files are among the files already; what they cost is done here.
  for (int i = 0; i < 2; i++) EVP_DigestFinal_ex(hashes[i], digest, NULL);
  failed = failed || finish(zip, entries, part->count) || EVP_DigestSignInit(signing, NULL, EVP_sha256(), NULL, keys->signing) != 1 ||
           EVP_DigestSign(signing, signature, &signature_size, zip->bytes, zip->size) != 1 || seal(keys, zip->bytes, zip->size, sealed);
  if (!failed) {
    char signature_text[1400], hash_text[64];
    EVP_Digest(sealed->bytes, sealed->size, digest, NULL, EVP_sha256(), NULL);
    base64url(signature, signature_size, signature_text);
    base64url(digest, DIGEST, hash_text);
    snprintf(
        metadata, metadata_room,
        "{\"id\":\"%s\",\"packetname\":\"%s_%s\",\"source\":\"%s\",\"process\":\"%s\",\"refid\":\"%s\",\"schemaversion\":\"0.1\","
        "\"signature\":\"%s\",\"encryptedhash\":\"%s\",\"providername\":\"PacketWriterImpl\",\"providerversion\":\"v1.0\","
        "\"creationdate\":\"%s\"}",
        about->rid, about->rid, part->name, about->source, about->process, about->ref_id, signature_text, hash_text, about->time);
  }
  for (int i = 0; i < 2; i++) EVP_MD_CTX_free(hashes[i]);
  EVP_MD_CTX_free(signing);
  return failed ? -1 : 0;
}

int packet_reference_write(
    const struct packet_keys *keys, const struct packet_about *about, const struct packet_part *parts, size_t count,
    unsigned char **bytes, size_t *size) {
  struct buffer zip = {0}, sealed = {0}, container = {0}, out = {0};
  struct entry entries[6];
  char names[6][256], metadata[2048];
  z_stream packer = {0};
  int failed = count > 3 || deflateInit2(&packer, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK;
  for (size_t i = 0; i < count && !failed; i++) {
    failed = write_part(keys, about, &parts[i], &packer, &zip, &sealed, metadata, sizeof metadata);
    for (int j = 0; j < 2; j++)
      snprintf(
          names[2 * i + j], sizeof names[0], "%s/%s/%s_%s.%s", about->source, about->process, about->rid, parts[i].name, j ? "json" : "zip");
    failed = failed || add(&container, &packer, &entries[2 * i], names[2 * i], sealed.bytes, sealed.size, 0) ||
             add(&container, &packer, &entries[2 * i + 1], names[2 * i + 1], (unsigned char *)metadata, strlen(metadata), 1);
  }
  failed = failed || finish(&container, entries, 2 * count) || seal(keys, container.bytes, container.size, &out);
  deflateEnd(&packer);
  free(zip.bytes), free(sealed.bytes), free(container.bytes);
  if (failed) {
    free(out.bytes);
    return -1;
  }
  *bytes = out.bytes;
  *size = out.size;
  return 0;
}

// Reading

/// Calls a function for each entry of a zip, unpacked and with its CRC checked; `scratch` holds what is unpacked.
static int each(
    const unsigned char *zip, size_t size, z_stream *unpacker, struct buffer *scratch,
    int (*body)(void *context, const char *name, size_t name_size, const unsigned char *bytes, size_t size), void *context) {
  if (size < 22 || get32(zip + size - 22) != 0x06054b50) return -1;
  const unsigned char *end = zip + size - 22, *record = zip + get32(end + 16);
  for (unsigned left = get16(end + 10); left > 0; left--) {
    if (record + 46 > end || get32(record) != 0x02014b50) return -1;
    size_t packed = get32(record + 20), plain = get32(record + 24), name_size = get16(record + 28), at = get32(record + 42);
    if (at + 30 > size || get32(zip + at) != 0x04034b50) return -1;
    const unsigned char *bytes = zip + at + 30 + get16(zip + at + 26) + get16(zip + at + 28);
    if (bytes + packed > end || plain > 64u << 20) return -1;
    if (get16(record + 10) == 8) {
      scratch->size = 0;
      if (reserve(scratch, plain + 1)) return -1;
      inflateReset(unpacker);
      unpacker->next_in = (unsigned char *)bytes, unpacker->avail_in = (unsigned)packed;
      unpacker->next_out = scratch->bytes, unpacker->avail_out = (unsigned)plain + 1;
      if (inflate(unpacker, Z_FINISH) != Z_STREAM_END || unpacker->total_out != plain) return -1;
      bytes = scratch->bytes;
    }
    if (crc32_z(crc32(0, NULL, 0), bytes, plain) != get32(record + 16)) return -1;
    if (body(context, (const char *)record + 46, name_size, bytes, plain)) return -1;
    record += 46 + name_size + get16(record + 30) + get16(record + 32);
  }
  return 0;
}

struct reading {
  const struct packet_keys *keys;
  z_stream *unpacker;
  struct buffer plain, files, containers;
  unsigned char digest[3][DIGEST];
  struct {
    unsigned char *bytes;
    size_t size;
  } parts[3];
  unsigned char signatures[3][1024];
  size_t signature_sizes[3], infos, contents, content;
  EVP_MD_CTX *hash;
};

static int hash_file(void *context, const char *name, size_t name_size, const unsigned char *bytes, size_t size) {
  struct reading *reading = context;
  (void)name, (void)name_size;
  reading->content += size;
  return EVP_DigestUpdate(reading->hash, bytes, size) == 1 ? 0 : -1;
}

/// The value of a key in metadata that this file wrote, decoded.
static size_t value(const char *json, const char *key, unsigned char *out) {
  const char *at = strstr(json, key);
  if (!at) return 0;
  at += strlen(key);
  char text[1400];
  size_t count = 0;
  while (at[count] && at[count] != '"' && count < 1390) {
    text[count] = at[count] == '-' ? '+' : at[count] == '_' ? '/' : at[count];
    count++;
  }
  size_t size = count * 3 / 4;
  while (count % 4) text[count++] = '=';
  return EVP_DecodeBlock(out, (unsigned char *)text, (int)count) < 0 ? 0 : size;
}

static int take_entry(void *context, const char *name, size_t name_size, const unsigned char *bytes, size_t size) {
  struct reading *reading = context;
  if (name_size > 4 && !memcmp(name + name_size - 4, ".zip", 4)) {
    if (reading->contents == 3) return -1;
    unsigned char *copy = malloc(size + 1);
    if (!copy) return -1;
    memcpy(copy, bytes, size);
    reading->parts[reading->contents].bytes = copy;
    reading->parts[reading->contents++].size = size;
    return 0;
  }
  char json[4096];
  if (reading->infos == 3 || size >= sizeof json) return -1;
  memcpy(json, bytes, size), json[size] = 0;
  unsigned char hash[1200];
  reading->signature_sizes[reading->infos] = value(json, "\"signature\":\"", reading->signatures[reading->infos]);
  if (value(json, "\"encryptedhash\":\"", hash) != DIGEST) return -1;
  memcpy(reading->digest[reading->infos++], hash, DIGEST);
  return 0;
}

int packet_reference_read(const struct packet_keys *keys, const unsigned char *bytes, size_t size, size_t *content) {
  z_stream unpacker = {0};
  struct reading reading = {.keys = keys, .unpacker = &unpacker};
  struct buffer container = {0};
  int failed = inflateInit2(&unpacker, -MAX_WBITS) != Z_OK || unseal(keys, bytes, size, &container) ||
               each(container.bytes, container.size, &unpacker, &reading.files, take_entry, &reading) || reading.infos != reading.contents;
  // Entries are in pairs, content first, as the writer has them.
  for (size_t i = 0; i < reading.contents && !failed; i++) {
    unsigned char digest[DIGEST];
    EVP_MD_CTX *verifying = EVP_MD_CTX_new();
    reading.hash = EVP_MD_CTX_new();
    EVP_DigestInit_ex(reading.hash, EVP_sha256(), NULL);
    EVP_Digest(reading.parts[i].bytes, reading.parts[i].size, digest, NULL, EVP_sha256(), NULL);
    failed = CRYPTO_memcmp(digest, reading.digest[i], DIGEST) || unseal(keys, reading.parts[i].bytes, reading.parts[i].size, &reading.plain) ||
             EVP_DigestVerifyInit(verifying, NULL, EVP_sha256(), NULL, keys->signing) != 1 ||
             EVP_DigestVerify(verifying, reading.signatures[i], reading.signature_sizes[i], reading.plain.bytes, reading.plain.size) != 1 ||
             each(reading.plain.bytes, reading.plain.size, &unpacker, &reading.files, hash_file, &reading);
    EVP_DigestFinal_ex(reading.hash, digest, NULL);
    EVP_MD_CTX_free(reading.hash);
    EVP_MD_CTX_free(verifying);
    // unseal keeps the room and begins anew.
    reading.plain.size = 0;
  }
  for (size_t i = 0; i < reading.contents; i++) free(reading.parts[i].bytes);
  inflateEnd(&unpacker);
  free(container.bytes), free(reading.plain.bytes), free(reading.files.bytes);
  *content = reading.content;
  return failed ? -1 : 0;
}
