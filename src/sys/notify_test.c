/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/notify.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static void says_a_state(void **state)
{
    char message[NOTIFY_MESSAGE_MAX], longer[2 * NOTIFY_MESSAGE_MAX];
    assert_string_equal(notify_message(NOTIFY_READY, "3 services", 7, message), "READY=1\nSTATUS=3 services");
    assert_string_equal(notify_message(NOTIFY_STATUS, "well", 7, message), "STATUS=well");
    assert_string_equal(notify_message(NOTIFY_STOPPING, "", 7, message), "STOPPING=1\nSTATUS=");
    assert_string_equal(notify_message(NOTIFY_RELOADING, "file", 18446744073709551615u, message),
                        "RELOADING=1\nMONOTONIC_USEC=18446744073709551615\nSTATUS=file");
    /* No sentence adds a line of its own. */
    assert_string_equal(notify_message(NOTIFY_STATUS, "a\nSTOPPING=1", 0, message), "STATUS=a");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(strlen(notify_message(NOTIFY_READY, longer, 0, message)), NOTIFY_MESSAGE_MAX - 1);
}

static int listen_at(const struct sockaddr_un *address, size_t path_len)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)address, size), 0);
    return fd;
}

static void assert_received(int fd, const char *want)
{
    char got[64];
    ssize_t len = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
    assert_true(len >= 0);
    got[len] = '\0';
    assert_string_equal(got, want);
}

static void reaches_a_path(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct err err;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/fairlead-notify-%d", tmp ? tmp : "/tmp",
             (int)getpid());
    assert_int_equal(notify_send(address.sun_path, "READY=1", &err), -ENOENT);
    assert_non_null(strstr(err.text, address.sun_path));
    cleanup_close int fd = listen_at(&address, strlen(address.sun_path) + 1);
    assert_int_equal(notify_send(address.sun_path, "READY=1\nSTATUS=x", &err), 0);
    assert_received(fd, "READY=1\nSTATUS=x");
    unlink(address.sun_path);
}

static void reaches_an_abstract_name(void **state)
{
    char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct err err;
    /* As long as can be: there is no NUL at its end. */
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    snprintf(name, sizeof(name), "@fairlead-%d-", (int)getpid());
    name[strlen(name)] = 'n';
    memcpy(address.sun_path, name, sizeof(address.sun_path));
    address.sun_path[0] = '\0';
    cleanup_close int fd = listen_at(&address, sizeof(address.sun_path));
    assert_int_equal(notify_send(name, "STOPPING=1", &err), 0);
    assert_received(fd, "STOPPING=1");
}

static void refuses_what_it_cannot_reach(void **state)
{
    char longer[200] = "/";
    struct err err;
    assert_int_equal(notify_send(NULL, "READY=1", &err), 0);
    assert_int_equal(notify_send("", "READY=1", &err), 0);
    assert_int_equal(notify_send("vsock:2:1234", "READY=1", &err), -EPROTONOSUPPORT);
    assert_string_equal(
        err.text, "NOTIFY_SOCKET is \"vsock:2:1234\", neither a path nor the name of an abstract socket");
    memset(longer + 1, 'x', sizeof(longer) - 2);
    assert_int_equal(notify_send(longer, "READY=1", &err), -ENAMETOOLONG);
}

/* A manager that does not read holds nobody up. */
static void never_waits(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    struct err err;
    int code = 0;
    snprintf(name, sizeof(name), "@fairlead-full-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    cleanup_close int fd = listen_at(&address, strlen(name));
    for (int i = 0; i < 100000 && code == 0; i++)
        code = notify_send(name, "STATUS=again", &err);
    assert_int_equal(code, -EAGAIN);
    assert_true(fd >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_a_state),
        cmocka_unit_test(reaches_a_path),
        cmocka_unit_test(reaches_an_abstract_name),
        cmocka_unit_test(refuses_what_it_cannot_reach),
        cmocka_unit_test(never_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
