#ifndef REGPROC_COPENSSL_H
#define REGPROC_COPENSSL_H
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// What Swift cannot see: macros and variadic functions.

static inline EVP_PKEY *regproc_rsa_generate(unsigned int bits) { return EVP_RSA_gen(bits); }

static inline void regproc_openssl_free(void *memory) { OPENSSL_free(memory); }

/// The bytes a memory BIO holds; they belong to the BIO.
static inline long regproc_bio_data(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }

/// The parameter builder keeps the addresses of names, which Swift texts do not have beyond a call.
static inline int regproc_push_rsa_numbers(OSSL_PARAM_BLD *builder, const BIGNUM *n, const BIGNUM *e) {
  return OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
         OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
}

static const int regproc_pkey_public = EVP_PKEY_PUBLIC_KEY;
static const unsigned long regproc_name_rfc2253 = XN_FLAG_RFC2253;
#endif
