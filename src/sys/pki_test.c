/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/pki.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "sys/read_file.h"
#include "sys/write_file.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_S 86400

struct fixture {
    char dir[64];
    struct address addresses[2];
    struct err err;
};

static const char *const names[] = {"kubernetes", "kubernetes.default.svc", NULL};
static const char *const files[] = {"ca.crt", "ca.key", "server.crt", "server.key", "admin.crt", "admin.key"};

static const char *path_of(const struct fixture *fixture, const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->dir, name);
    return path;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const char *tmp = getenv("TMPDIR");
    snprintf(fixture->dir, sizeof(fixture->dir), "%s/fairlead-pki-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(fixture->dir));
    address_parse("127.0.0.1", &fixture->addresses[0], NULL);
    address_parse("fd00::1", &fixture->addresses[1], NULL);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        unlink(path_of(fixture, files[i]));
    /* So nothing else was left behind. */
    assert_int_equal(rmdir(fixture->dir), 0);
    free(fixture);
    return 0;
}

static int prepare(struct fixture *fixture, struct pki *ret)
{
    return pki_prepare(fixture->dir, fixture->addresses, 2, names, ret, &fixture->err);
}

static void prepare_well(struct fixture *fixture, struct pki *ret)
{
    fixture->err.text[0] = '\0';
    if (prepare(fixture, ret) < 0)
        fail_msg("%s", fixture->err.text);
    assert_string_equal(fixture->err.text, "");
}

static void file_write(struct fixture *fixture, const char *name, const char *text)
{
    assert_int_equal(write_file_whole(path_of(fixture, name), 0600, text, strlen(text), NULL), 0);
}

static gnutls_x509_crt_t import(const char *pem)
{
    gnutls_x509_crt_t certificate;
    gnutls_datum_t datum = {.data = (unsigned char *)pem, .size = (unsigned)strlen(pem)};
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_import(certificate, &datum, GNUTLS_X509_FMT_PEM), 0);
    return certificate;
}

/* Whether the chain holds, today, for that purpose and name (NULL: any). */
static bool is_trusted(const char *ca_pem, const char *pem, const char *purpose, const char *name)
{
    gnutls_x509_crt_t ca = import(ca_pem), certificate = import(pem);
    gnutls_x509_trust_list_t list;
    gnutls_typed_vdata_st wanted[2] = {
        {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)purpose},
        {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)name},
    };
    unsigned faults = 0;
    gnutls_x509_trust_list_init(&list, 0);
    gnutls_x509_trust_list_add_cas(list, &ca, 1, 0);
    assert_int_equal(
        gnutls_x509_trust_list_verify_crt2(list, &certificate, 1, wanted, name ? 2 : 1, 0, &faults, NULL), 0);
    gnutls_x509_trust_list_deinit(list, 1);
    gnutls_x509_crt_deinit(certificate);
    return faults == 0;
}

static bool is_key_of(const char *certificate_pem, const char *key_pem)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t certificate = {.data = (unsigned char *)certificate_pem,
                                  .size = (unsigned)strlen(certificate_pem)};
    gnutls_datum_t key = {.data = (unsigned char *)key_pem, .size = (unsigned)strlen(key_pem)};
    gnutls_certificate_allocate_credentials(&credentials);
    int code = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return code == 0;
}

static void value_of(const char *pem, const char *oid, unsigned index, char value[128])
{
    gnutls_x509_crt_t certificate = import(pem);
    size_t len = 128;
    if (gnutls_x509_crt_get_dn_by_oid(certificate, oid, index, 0, value, &len) < 0)
        value[0] = '\0';
    gnutls_x509_crt_deinit(certificate);
}

static long days_of(const char *pem)
{
    gnutls_x509_crt_t certificate = import(pem);
    long days = (long)((gnutls_x509_crt_get_expiration_time(certificate) - time(NULL) + DAY_S / 2) / DAY_S);
    gnutls_x509_crt_deinit(certificate);
    return days;
}

static void makes_what_is_missing(void **state)
{
    struct fixture *fixture = *state;
    struct pki pki = {0};
    char value[128];
    prepare_well(fixture, &pki);
    assert_true(is_trusted(pki.ca_certificate, pki.server_certificate, GNUTLS_KP_TLS_WWW_SERVER,
                           "kubernetes.default.svc"));
    assert_true(
        is_trusted(pki.ca_certificate, pki.server_certificate, GNUTLS_KP_TLS_WWW_SERVER, "127.0.0.1"));
    assert_true(is_trusted(pki.ca_certificate, pki.server_certificate, GNUTLS_KP_TLS_WWW_SERVER, "fd00::1"));
    assert_false(
        is_trusted(pki.ca_certificate, pki.server_certificate, GNUTLS_KP_TLS_WWW_SERVER, "127.0.0.2"));
    assert_false(is_trusted(pki.ca_certificate, pki.server_certificate, GNUTLS_KP_TLS_WWW_CLIENT, NULL));
    assert_true(is_trusted(pki.ca_certificate, pki.admin_certificate, GNUTLS_KP_TLS_WWW_CLIENT, NULL));
    assert_false(is_trusted(pki.ca_certificate, pki.admin_certificate, GNUTLS_KP_TLS_WWW_SERVER, NULL));
    assert_true(is_key_of(pki.server_certificate, pki.server_key));
    assert_true(is_key_of(pki.admin_certificate, pki.admin_key));
    assert_false(is_key_of(pki.admin_certificate, pki.server_key));
    value_of(pki.admin_certificate, GNUTLS_OID_X520_COMMON_NAME, 0, value);
    assert_string_equal(value, "kubernetes-admin");
    value_of(pki.admin_certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, value);
    assert_string_equal(value, "system:masters");
    assert_in_range(days_of(pki.ca_certificate), 3650, 3653);
    assert_in_range(days_of(pki.server_certificate), 364, 366);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct stat info;
        assert_int_equal(stat(path_of(fixture, files[i]), &info), 0);
        assert_int_equal(info.st_mode & 0777, strstr(files[i], ".key") ? 0600 : 0644);
    }
    pki_done(&pki);
}

static void keeps_what_is_good(void **state)
{
    struct fixture *fixture = *state;
    struct pki first = {0}, second = {0};
    prepare_well(fixture, &first);
    prepare_well(fixture, &second);
    assert_string_equal(first.ca_certificate, second.ca_certificate);
    assert_string_equal(first.server_certificate, second.server_certificate);
    assert_string_equal(first.server_key, second.server_key);
    assert_string_equal(first.admin_certificate, second.admin_certificate);
    assert_string_equal(first.admin_key, second.admin_key);
    pki_done(&first);
    pki_done(&second);
}

static void renews_for_a_new_name_with_the_same_key(void **state)
{
    struct fixture *fixture = *state;
    struct pki first = {0}, second = {0};
    prepare_well(fixture, &first);
    address_parse("192.0.2.7", &fixture->addresses[0], NULL);
    prepare_well(fixture, &second);
    assert_string_equal(first.ca_certificate, second.ca_certificate);
    assert_string_not_equal(first.server_certificate, second.server_certificate);
    assert_string_equal(first.server_key, second.server_key);
    assert_string_equal(first.admin_certificate, second.admin_certificate);
    assert_true(
        is_trusted(first.ca_certificate, second.server_certificate, GNUTLS_KP_TLS_WWW_SERVER, "192.0.2.7"));
    pki_done(&first);
    pki_done(&second);
}

static void renews_what_ends_soon(void **state)
{
    struct fixture *fixture = *state;
    struct pki pki = {0};
    static const char *const masters[] = {"system:masters", NULL};
    for (long days = 29; days <= 31; days += 2) {
        char *certificate, *key;
        prepare_well(fixture, &pki);
        pki_done(&pki);
        assert_int_equal(pki_issue_client(fixture->dir, "kubernetes-admin", masters, days * DAY_S,
                                          &certificate, &key, &fixture->err),
                         0);
        file_write(fixture, "admin.crt", certificate);
        file_write(fixture, "admin.key", key);
        prepare_well(fixture, &pki);
        assert_int_equal(days_of(pki.admin_certificate), days < 30 ? 365 : days);
        assert_string_equal(pki.admin_key, key);
        pki_done(&pki);
        free(certificate);
        free(key);
    }
}

/* As a crash between two writes leaves it. */
static void goes_on_where_it_was_interrupted(void **state)
{
    struct fixture *fixture = *state;
    struct pki first = {0}, second = {0};
    prepare_well(fixture, &first);
    unlink(path_of(fixture, "server.crt"));
    prepare_well(fixture, &second);
    assert_string_equal(first.server_key, second.server_key);
    pki_done(&second);
    unlink(path_of(fixture, "admin.key"));
    prepare_well(fixture, &second);
    assert_true(is_key_of(second.admin_certificate, second.admin_key));
    pki_done(&second);
    /* The authority's key is what counts: all that it signed stays good. */
    unlink(path_of(fixture, "ca.crt"));
    prepare_well(fixture, &second);
    assert_string_equal(first.server_key, second.server_key);
    assert_true(is_trusted(second.ca_certificate, first.server_certificate, GNUTLS_KP_TLS_WWW_SERVER, NULL));
    assert_true(is_trusted(first.ca_certificate, second.admin_certificate, GNUTLS_KP_TLS_WWW_CLIENT, NULL));
    pki_done(&first);
    pki_done(&second);
}

static void overwrites_nothing_that_is_foreign(void **state)
{
    struct fixture *fixture = *state;
    struct fixture *other = NULL;
    struct pki pki = {0}, foreign = {0};
    prepare_well(fixture, &pki);
    assert_int_equal(setup((void **)&other), 0);
    prepare_well(other, &foreign);
    const struct {
        const char *file, *content, *mended, *words;
    } cases[] = {
        {"ca.crt", "nonsense", pki.ca_certificate, "ca.crt is no certificate, and is left as it is"},
        {"ca.crt", "", pki.ca_certificate, "ca.crt is no certificate, and is left as it is"},
        {"ca.crt", foreign.ca_certificate, pki.ca_certificate, "ca.key is not the key of "},
        {"ca.crt", pki.server_certificate, pki.ca_certificate, "ca.key is not the key of "},
        {"server.crt", foreign.server_certificate, pki.server_certificate, "server.key is not the key of "},
        {"server.key", "-----BEGIN EC PRIVATE KEY-----\n", pki.server_key,
         "server.key is no key, and is left as it is"},
        {"server.key", pki.admin_key, pki.server_key, "server.key is not the key of "},
        {"admin.crt", pki.ca_certificate, pki.admin_certificate, "admin.key is not the key of "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pki none = {0};
        cleanup_free char *after = NULL;
        size_t len;
        file_write(fixture, cases[i].file, cases[i].content);
        assert_int_equal(prepare(fixture, &none), -EINVAL);
        if (!strstr(fixture->err.text, cases[i].words) || !strstr(fixture->err.text, fixture->dir))
            fail_msg("case %zu: %s", i, fixture->err.text);
        assert_null(none.ca_certificate);
        assert_int_equal(read_file_whole(path_of(fixture, cases[i].file), 65536, &after, &len, NULL), 0);
        assert_int_equal(len, strlen(cases[i].content));
        assert_memory_equal(after, cases[i].content, len);
        file_write(fixture, cases[i].file, cases[i].mended);
    }
    file_write(fixture, "server.crt", foreign.server_certificate);
    file_write(fixture, "server.key", foreign.server_key);
    assert_int_equal(prepare(fixture, &pki), -EINVAL);
    assert_non_null(strstr(fixture->err.text, "server.crt is not the certificate for kube-apiserver that "));
    file_write(fixture, "server.crt", pki.admin_certificate);
    file_write(fixture, "server.key", pki.admin_key);
    assert_int_equal(prepare(fixture, &pki), -EINVAL);
    unlink(path_of(fixture, "ca.key"));
    assert_int_equal(prepare(fixture, &pki), -EINVAL);
    assert_non_null(strstr(fixture->err.text, "ca.key is not"));
    pki_done(&pki);
    pki_done(&foreign);
    teardown((void **)&other);
}

static void issues_clients(void **state)
{
    struct fixture *fixture = *state;
    struct pki pki = {0};
    static const char *const groups[] = {"system:nodes", "second", NULL};
    char *certificate = NULL, *key = NULL, *other = NULL, *other_key = NULL, value[128];
    assert_int_equal(pki_issue_client(fixture->dir, "x", NULL, DAY_S, &certificate, &key, &fixture->err),
                     -ENOENT);
    prepare_well(fixture, &pki);
    assert_int_equal(
        pki_issue_client(fixture->dir, "system:node:one", groups, DAY_S, &certificate, &key, &fixture->err),
        0);
    assert_true(is_trusted(pki.ca_certificate, certificate, GNUTLS_KP_TLS_WWW_CLIENT, NULL));
    assert_true(is_key_of(certificate, key));
    value_of(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, value);
    assert_string_equal(value, "system:node:one");
    value_of(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, value);
    assert_string_equal(value, "system:nodes");
    value_of(certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 1, value);
    assert_string_equal(value, "second");
    assert_int_equal(days_of(certificate), 1);
    /* No group at all; and no serial twice. */
    assert_int_equal(pki_issue_client(fixture->dir, "bob", NULL, DAY_S, &other, &other_key, &fixture->err),
                     0);
    value_of(other, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, value);
    assert_string_equal(value, "");
    gnutls_x509_crt_t a = import(certificate), b = import(other);
    unsigned char serial_a[32], serial_b[32];
    size_t len_a = sizeof(serial_a), len_b = sizeof(serial_b);
    assert_int_equal(gnutls_x509_crt_get_serial(a, serial_a, &len_a), 0);
    assert_int_equal(gnutls_x509_crt_get_serial(b, serial_b, &len_b), 0);
    assert_int_equal(len_a, 16);
    assert_int_equal(len_b, 16);
    assert_memory_not_equal(serial_a, serial_b, 16);
    gnutls_x509_crt_deinit(a);
    gnutls_x509_crt_deinit(b);
    char *none = NULL;
    assert_int_equal(pki_issue_client(fixture->dir, "", NULL, DAY_S, &none, &none, &fixture->err), -EINVAL);
    assert_int_equal(pki_issue_client(fixture->dir, "x", NULL, 0, &none, &none, &fixture->err), -EINVAL);
    assert_int_equal(pki_issue_client(fixture->dir, "x", NULL, INT64_MAX, &none, &none, &fixture->err),
                     -EINVAL);
    assert_null(none);
    free(certificate);
    free(key);
    free(other);
    free(other_key);
    pki_done(&pki);
}

static void makes_its_folder(void **state)
{
    struct fixture *fixture = *state;
    struct pki pki = {0};
    struct stat info;
    struct fixture inner = *fixture;
    snprintf(inner.dir, sizeof(inner.dir), "%.50s/pki", fixture->dir);
    prepare_well(&inner, &pki);
    pki_done(&pki);
    assert_int_equal(stat(inner.dir, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        unlink(path_of(&inner, files[i]));
    assert_int_equal(rmdir(inner.dir), 0);
    snprintf(inner.dir, sizeof(inner.dir), "%.40s/no/such/parent", fixture->dir);
    assert_int_equal(prepare(&inner, &pki), -ENOENT);
    assert_non_null(strstr(inner.err.text, "/no/such/parent cannot be made: "));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(makes_what_is_missing),
        TEST(keeps_what_is_good),
        TEST(renews_for_a_new_name_with_the_same_key),
        TEST(renews_what_ends_soon),
        TEST(goes_on_where_it_was_interrupted),
        TEST(overwrites_nothing_that_is_foreign),
        TEST(issues_clients),
        TEST(makes_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
