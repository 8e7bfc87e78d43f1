/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_case.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

bool can_run(const char *program)
{
    char command[128];
    snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
    if (unshare(CLONE_NEWNET) < 0)
        printf("skipped: no new network namespace here: %s\n", strerror(errno));
    else if (system(command) != 0)
        printf("skipped: there is no program %s\n", program);
    else
        return true;
    return false;
}

static int raise_loopback(void)
{
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    return fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
}

int new_namespace(void **state)
{
    /* Without routes of its own IPVS takes every address for a broadcast one. */
    return unshare(CLONE_NEWNET) < 0 ? -1 : raise_loopback();
}

struct address at(const char *text)
{
    struct address address;
    struct err err = {0};
    if (address_parse(text, &address, &err) < 0)
        fail_msg("%s", err.text);
    return address;
}

struct address numbered(enum family family, unsigned number)
{
    char text[ADDRESS_TEXT_MAX];
    if (family == FAMILY_IPV4)
        snprintf(text, sizeof(text), "10.%u.%u.%u", 64 + number / 65536, number / 256 % 256, number % 256);
    else
        snprintf(text, sizeof(text), "fd00:10:96::%x:%x", 1 + number / 65536, number % 65536);
    return at(text);
}

void expect_fine(int code, const struct err *err)
{
    if (code < 0)
        fail_msg("%d: %s", code, err->text);
}

void expect_sentence(int code, int expected, const struct err *err, const char *words)
{
    if (code != expected || strcmp(err->text, words) != 0)
        fail_msg("%d, not %d: %s", code, expected, err->text);
}

void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

void expect_shown(const char *command, const char *words)
{
    char line[256];
    struct text shown = {0};
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof(line), pipe))
        text_add(&shown, line);
    int code = pclose(pipe);
    if (code != 0 || !strstr(text_str(&shown), words))
        fail_msg("%s: exit %d, no \"%s\" in:\n%s", command, code, words, text_str(&shown));
    text_done(&shown);
}

double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

char *next_line(struct lines *lines)
{
    assert_true(lines->count < ARRAY_LEN(lines->text));
    return lines->text[lines->count++];
}

static int order_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

void expect_lines(struct lines *lines, const char *const *expected, unsigned count)
{
    qsort(lines->text, lines->count, sizeof(lines->text[0]), order_lines);
    for (unsigned i = 0; i < lines->count && i < count; i++)
        assert_string_equal(lines->text[i], expected[i]);
    assert_int_equal(lines->count, count);
}
