/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/pki.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "sys/read_file.h"
#include "sys/write_file.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PEM_MAX (1024 * 1024)
#define AUTHORITY_NAME "fairlead-ca"
#define DAY_S 86400
#define AUTHORITY_S (3652 * (int64_t)DAY_S)
#define LEAF_S (365 * (int64_t)DAY_S)
#define RENEW_S (30 * (int64_t)DAY_S)
/* Clocks of one cluster are never quite the same. */
#define BACKDATE_S 3600
#define SERIAL_LEN 16

/* What a certificate is to say. Lists end in NULL, or are NULL. */
struct wish {
    const char *common_name;
    const char *const *organizations;
    const char *purpose; /* GNUTLS_KP_..., NULL for an authority */
    const struct address *addresses;
    size_t address_count;
    const char *const *names;
    int64_t seconds;
};

struct identity {
    gnutls_x509_crt_t certificate; /* NULL without the file, as is the key */
    gnutls_x509_privkey_t key;
};

static void identity_done(struct identity *identity)
{
    if (identity->certificate)
        gnutls_x509_crt_deinit(identity->certificate);
    if (identity->key)
        gnutls_x509_privkey_deinit(identity->key);
    *identity = (struct identity){0};
}

void pki_done(struct pki *pki)
{
    free(pki->ca_certificate);
    free(pki->server_certificate);
    free(pki->server_key);
    free(pki->admin_certificate);
    free(pki->admin_key);
    *pki = (struct pki){0};
}

/* gnutls's own memory, as ours; keys are wiped behind. */
static char *take_pem(gnutls_datum_t *datum)
{
    char *text = xmalloc((size_t)datum->size + 1);
    memcpy(text, datum->data, datum->size);
    text[datum->size] = '\0';
    gnutls_memset(datum->data, 0, datum->size);
    gnutls_free(datum->data);
    return text;
}

static int certificate_export(gnutls_x509_crt_t certificate, char **ret, struct err *err)
{
    gnutls_datum_t pem;
    int code = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem);
    if (code < 0)
        return err_set(err, EIO, "a certificate cannot be encoded: %s", gnutls_strerror(code));
    *ret = take_pem(&pem);
    return 0;
}

static int key_export(gnutls_x509_privkey_t key, char **ret, struct err *err)
{
    gnutls_datum_t pem;
    int code = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
    if (code < 0)
        return err_set(err, EIO, "a key cannot be encoded: %s", gnutls_strerror(code));
    *ret = take_pem(&pem);
    return 0;
}

static int key_make(gnutls_x509_privkey_t *ret, struct err *err)
{
    int code = gnutls_x509_privkey_init(ret);
    if (code == 0)
        code = gnutls_x509_privkey_generate(*ret, GNUTLS_PK_ECDSA,
                                            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    return code == 0 ? 0 : err_set(err, EIO, "a key cannot be made: %s", gnutls_strerror(code));
}

static char *file_of(const char *dir, const char *name, const char *ending)
{
    struct text path = {0};
    text_printf(&path, "%s/%s.%s", dir, name, ending);
    return path.data;
}

/* 1 with the file, 0 where there is none. */
static int pem_read(const char *path, gnutls_datum_t *ret, struct err *err)
{
    char *bytes;
    size_t len;
    struct err failure;
    int code = read_file_whole(path, PEM_MAX, &bytes, &len, &failure);
    if (code == -ENOENT)
        return 0;
    if (code < 0)
        return err_set(err, -code, "%s", failure.text);
    *ret = (gnutls_datum_t){.data = (unsigned char *)bytes, .size = (unsigned)len};
    return 1;
}

static int certificate_import(const gnutls_datum_t *pem, gnutls_x509_crt_t *ret)
{
    int code = gnutls_x509_crt_init(ret);
    return code < 0 ? code : gnutls_x509_crt_import(*ret, pem, GNUTLS_X509_FMT_PEM);
}

static int certificate_load(const char *path, gnutls_x509_crt_t *ret, struct err *err)
{
    gnutls_datum_t pem;
    int code = pem_read(path, &pem, err);
    if (code <= 0)
        return code;
    code = certificate_import(&pem, ret);
    free(pem.data);
    return code == 0 ? 0
                     : err_set(err, EINVAL, "%s is no certificate, and is left as it is: %s", path,
                               gnutls_strerror(code));
}

static int key_load(const char *path, gnutls_x509_privkey_t *ret, struct err *err)
{
    gnutls_datum_t pem;
    int code = pem_read(path, &pem, err);
    if (code <= 0)
        return code;
    code = gnutls_x509_privkey_init(ret);
    if (code == 0)
        code = gnutls_x509_privkey_import2(*ret, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(pem.data, 0, pem.size);
    free(pem.data);
    return code == 0
               ? 0
               : err_set(err, EINVAL, "%s is no key, and is left as it is: %s", path, gnutls_strerror(code));
}

static bool is_pair(const struct identity *identity)
{
    unsigned char of_certificate[64], of_key[64];
    size_t certificate_len = sizeof(of_certificate), key_len = sizeof(of_key);
    return gnutls_x509_crt_get_key_id(identity->certificate, 0, of_certificate, &certificate_len) == 0 &&
           gnutls_x509_privkey_get_key_id(identity->key, 0, of_key, &key_len) == 0 &&
           certificate_len == key_len && memcmp(of_certificate, of_key, key_len) == 0;
}

/* Both files of an identity; those that are missing stay NULL. */
static int identity_load(const char *dir, const char *name, struct identity *ret, struct err *err)
{
    cleanup_free char *certificate_path = file_of(dir, name, "crt");
    cleanup_free char *key_path = file_of(dir, name, "key");
    int code = certificate_load(certificate_path, &ret->certificate, err);
    if (code == 0)
        code = key_load(key_path, &ret->key, err);
    if (code == 0 && ret->certificate && ret->key && !is_pair(ret))
        return err_set(err, EINVAL, "%s is not the key of %s; both are left as they are", key_path,
                       certificate_path);
    return code;
}

/* For gnutls's calls in a row: the first failure stays. */
#define TRY(code, call)                                                                                      \
    do {                                                                                                     \
        if ((code) >= 0)                                                                                     \
            (code) = (call);                                                                                 \
    } while (0)

static int serial_set(gnutls_x509_crt_t certificate)
{
    unsigned char serial[SERIAL_LEN];
    int code = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    /* Positive, and of one length (RFC 5280, 4.1.2.2). */
    serial[0] = (serial[0] & 0x7f) | 0x40;
    TRY(code, gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial)));
    return code;
}

static int subject_set(gnutls_x509_crt_t certificate, const struct wish *wish)
{
    int code = 0;
    for (const char *const *each = wish->organizations; each && *each; each++)
        TRY(code, gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, *each,
                                                (unsigned)strlen(*each)));
    TRY(code, gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, wish->common_name,
                                            (unsigned)strlen(wish->common_name)));
    for (size_t i = 0; i < wish->address_count; i++) {
        size_t len;
        const uint8_t *wire = address_wire(&wish->addresses[i], &len);
        TRY(code, gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, wire, (unsigned)len,
                                                       GNUTLS_FSAN_APPEND));
    }
    for (const char *const *each = wish->names; each && *each; each++)
        TRY(code, gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, *each,
                                                       (unsigned)strlen(*each), GNUTLS_FSAN_APPEND));
    return code;
}

static int usage_set(gnutls_x509_crt_t certificate, const struct wish *wish)
{
    int code;
    if (!wish->purpose) {
        code = gnutls_x509_crt_set_basic_constraints(certificate, 1, 0);
        TRY(code, gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN));
        return code;
    }
    code = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    TRY(code, gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE));
    TRY(code, gnutls_x509_crt_set_key_purpose_oid(certificate, wish->purpose, 0));
    return code;
}

/* Signed by the authority; by itself where that has no certificate yet. */
static int certificate_make(const struct wish *wish, gnutls_x509_privkey_t key,
                            const struct identity *authority, gnutls_x509_crt_t *ret, struct err *err)
{
    unsigned char id[64];
    size_t id_len = sizeof(id);
    time_t now = time(NULL), end = now + wish->seconds;
    gnutls_x509_crt_t issuer = authority->certificate;
    if (issuer && gnutls_x509_crt_get_expiration_time(issuer) < end)
        end = gnutls_x509_crt_get_expiration_time(issuer);
    int code = gnutls_x509_crt_init(ret);
    if (code < 0)
        return err_set(err, ENOMEM, "out of memory");
    if (!issuer)
        issuer = *ret;
    code = gnutls_x509_crt_set_version(*ret, 3);
    TRY(code, serial_set(*ret));
    TRY(code, gnutls_x509_crt_set_activation_time(*ret, now - BACKDATE_S));
    TRY(code, gnutls_x509_crt_set_expiration_time(*ret, end));
    TRY(code, gnutls_x509_crt_set_key(*ret, key));
    TRY(code, subject_set(*ret, wish));
    TRY(code, usage_set(*ret, wish));
    TRY(code, gnutls_x509_crt_get_key_id(*ret, 0, id, &id_len));
    TRY(code, gnutls_x509_crt_set_subject_key_id(*ret, id, id_len));
    /* As the authority calls its own key: other makers compute it in other ways. */
    id_len = sizeof(id);
    if (code >= 0 && gnutls_x509_crt_get_subject_key_id(issuer, id, &id_len, NULL) == 0)
        code = gnutls_x509_crt_set_authority_key_id(*ret, id, id_len);
    TRY(code, gnutls_x509_crt_sign2(*ret, issuer, authority->key, GNUTLS_DIG_SHA256, 0));
    return code >= 0 ? 0
                     : err_set(err, EIO, "a certificate for %s cannot be made: %s", wish->common_name,
                               gnutls_strerror(code));
}

static bool has_alternative_name(gnutls_x509_crt_t certificate, gnutls_x509_subject_alt_name_t type,
                                 const void *wanted, size_t wanted_len)
{
    for (unsigned i = 0;; i++) {
        char name[512];
        size_t len = sizeof(name);
        int code = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &len, NULL);
        if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (code == (int)type && len == wanted_len && memcmp(name, wanted, len) == 0)
            return true;
    }
}

/* Still what the wish says, and for long enough. */
static bool is_good(gnutls_x509_crt_t certificate, const struct wish *wish)
{
    time_t now = time(NULL);
    if (gnutls_x509_crt_get_expiration_time(certificate) < now + RENEW_S ||
        gnutls_x509_crt_get_activation_time(certificate) > now)
        return false;
    for (size_t i = 0; i < wish->address_count; i++) {
        size_t len;
        const uint8_t *wire = address_wire(&wish->addresses[i], &len);
        if (!has_alternative_name(certificate, GNUTLS_SAN_IPADDRESS, wire, len))
            return false;
    }
    for (const char *const *each = wish->names; each && *each; each++)
        if (!has_alternative_name(certificate, GNUTLS_SAN_DNSNAME, *each, strlen(*each)))
            return false;
    return true;
}

static bool has_common_name(gnutls_x509_crt_t certificate, const char *wanted)
{
    char name[256];
    size_t len = sizeof(name);
    return gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) == 0 &&
           strcmp(name, wanted) == 0;
}

static bool is_issued_by(gnutls_x509_crt_t certificate, gnutls_x509_crt_t authority)
{
    unsigned faults;
    return gnutls_x509_crt_check_issuer(certificate, authority) &&
           gnutls_x509_crt_verify(
               certificate, &authority, 1,
               GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS, &faults) == 0 &&
           faults == 0;
}

/* The certificate anew, into the file too; and the key first where that is missing. */
static int identity_write(const char *dir, const char *name, const struct wish *wish,
                          const struct identity *authority, struct identity *identity, struct err *err)
{
    cleanup_free char *certificate_path = file_of(dir, name, "crt");
    cleanup_free char *key_path = file_of(dir, name, "key");
    cleanup_free char *certificate_pem = NULL, *key_pem = NULL;
    int code = 0;
    if (!identity->key) {
        code = key_make(&identity->key, err);
        if (code == 0)
            code = key_export(identity->key, &key_pem, err);
        if (code == 0)
            code = write_file_whole(key_path, 0600, key_pem, strlen(key_pem), err);
        if (key_pem)
            gnutls_memset(key_pem, 0, strlen(key_pem));
    }
    if (code < 0)
        return code;
    /* An authority signs itself: without its old certificate, should this be a renewal. */
    if (identity->certificate)
        gnutls_x509_crt_deinit(steal_pointer(&identity->certificate));
    code = certificate_make(wish, identity->key, authority, &identity->certificate, err);
    if (code == 0)
        code = certificate_export(identity->certificate, &certificate_pem, err);
    if (code < 0)
        return code;
    /* A certificate that was made, not read, gnutls cannot compare with others. */
    gnutls_datum_t pem = {.data = (unsigned char *)certificate_pem,
                          .size = (unsigned)strlen(certificate_pem)};
    gnutls_x509_crt_deinit(steal_pointer(&identity->certificate));
    code = certificate_import(&pem, &identity->certificate);
    if (code < 0)
        return err_set(err, EIO, "%s cannot be read back: %s", certificate_path, gnutls_strerror(code));
    return write_file_whole(certificate_path, 0644, certificate_pem, pem.size, err);
}

static int authority_check(const char *dir, const struct identity *authority, struct err *err)
{
    unsigned is_critical;
    if (!authority->key)
        return err_set(err, EINVAL, "%s/ca.crt is there and its key %s/ca.key is not", dir, dir);
    if (gnutls_x509_crt_get_ca_status(authority->certificate, &is_critical) <= 0)
        return err_set(err, EINVAL, "%s/ca.crt is not the certificate of an authority", dir);
    if (gnutls_x509_crt_get_expiration_time(authority->certificate) <= time(NULL))
        return err_set(err, EINVAL, "%s/ca.crt has ended, and is not ours to renew", dir);
    return 0;
}

static int authority_prepare(const char *dir, struct identity *authority, struct err *err)
{
    static const struct wish wish = {.common_name = AUTHORITY_NAME, .seconds = AUTHORITY_S};
    int code = identity_load(dir, "ca", authority, err);
    if (code < 0)
        return code;
    bool is_ours =
        authority->certificate && authority->key && has_common_name(authority->certificate, AUTHORITY_NAME);
    if (!authority->certificate || (is_ours && !is_good(authority->certificate, &wish)))
        return identity_write(dir, "ca", &wish, authority, authority, err);
    return authority_check(dir, authority, err);
}

static int leaf_prepare(const char *dir, const char *name, const struct wish *wish,
                        const struct identity *authority, char **ret_certificate, char **ret_key,
                        struct err *err)
{
    cleanup_with(identity_done) struct identity leaf = {0};
    int code = identity_load(dir, name, &leaf, err);
    if (code < 0)
        return code;
    if (leaf.certificate && (!is_issued_by(leaf.certificate, authority->certificate) ||
                             !has_common_name(leaf.certificate, wish->common_name)))
        return err_set(err, EINVAL,
                       "%s/%s.crt is not the certificate for %s that %s/ca.crt issued, and is left as it is",
                       dir, name, wish->common_name, dir);
    if (!leaf.certificate || !leaf.key || !is_good(leaf.certificate, wish))
        code = identity_write(dir, name, wish, authority, &leaf, err);
    if (code == 0)
        code = certificate_export(leaf.certificate, ret_certificate, err);
    return code < 0 ? code : key_export(leaf.key, ret_key, err);
}

int pki_prepare(const char *dir, const struct address *addresses, size_t address_count,
                const char *const *names, struct pki *ret, struct err *err)
{
    const struct wish server = {.common_name = "kube-apiserver",
                                .purpose = GNUTLS_KP_TLS_WWW_SERVER,
                                .addresses = addresses,
                                .address_count = address_count,
                                .names = names,
                                .seconds = LEAF_S};
    const struct wish admin = {.common_name = "kubernetes-admin",
                               .organizations = (const char *const[]){"system:masters", NULL},
                               .purpose = GNUTLS_KP_TLS_WWW_CLIENT,
                               .seconds = LEAF_S};
    cleanup_with(identity_done) struct identity authority = {0};
    cleanup_with(pki_done) struct pki pki = {0};
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(err, errno, "%s cannot be made: %s", dir, strerror(errno));
    int code = authority_prepare(dir, &authority, err);
    if (code == 0)
        code = certificate_export(authority.certificate, &pki.ca_certificate, err);
    if (code == 0)
        code =
            leaf_prepare(dir, "server", &server, &authority, &pki.server_certificate, &pki.server_key, err);
    if (code == 0)
        code = leaf_prepare(dir, "admin", &admin, &authority, &pki.admin_certificate, &pki.admin_key, err);
    if (code < 0)
        return code;
    *ret = pki;
    pki = (struct pki){0};
    return 0;
}

int pki_issue_client(const char *dir, const char *common_name, const char *const *organizations,
                     int64_t seconds, char **ret_certificate, char **ret_key, struct err *err)
{
    const struct wish wish = {.common_name = common_name,
                              .organizations = organizations,
                              .purpose = GNUTLS_KP_TLS_WWW_CLIENT,
                              .seconds = seconds};
    cleanup_with(identity_done) struct identity authority = {0}, client = {0};
    cleanup_free char *certificate = NULL, *key = NULL;
    if (!*common_name)
        return err_set(err, EINVAL, "a client certificate cannot be without a name");
    if (seconds <= 0 || seconds > AUTHORITY_S)
        return err_set(err, EINVAL, "a certificate for %s cannot last %lld seconds", common_name,
                       (long long)seconds);
    int code = identity_load(dir, "ca", &authority, err);
    if (code == 0 && !authority.certificate)
        return err_set(err, ENOENT, "there is no authority in %s", dir);
    if (code == 0)
        code = authority_check(dir, &authority, err);
    if (code == 0)
        code = key_make(&client.key, err);
    if (code == 0)
        code = certificate_make(&wish, client.key, &authority, &client.certificate, err);
    if (code == 0)
        code = certificate_export(client.certificate, &certificate, err);
    if (code == 0)
        code = key_export(client.key, &key, err);
    if (code < 0)
        return code;
    *ret_certificate = steal_pointer(&certificate);
    *ret_key = steal_pointer(&key);
    return 0;
}
