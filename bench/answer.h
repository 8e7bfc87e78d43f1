/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/err.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* What bench-pods sends on every connection: one letter, then the address and port at which it was reached,
 * as they were on the wire after the translation. So a client knows which endpoint was chosen. */
struct answer {
    char letter;
    uint8_t address[4];
    uint8_t port[2];
} __attribute__((packed));
#define ANSWER_LETTER 'p'

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t clock_now(void);

/* "10.0.0.1:80" to an address. -EINVAL with a sentence otherwise. */
int endpoint_parse(const char *text, struct sockaddr_in *ret_address, struct err *err);

/* One new connection from the thread's current network namespace, for a check: ends with a reset, so that
 * neither side keeps a TIME_WAIT. 0, or -errno: -ETIMEDOUT after timeout_ms, -EPROTO when the answer is not
 * bench-pods'. */
int answer_check(const struct sockaddr_in *to, int timeout_ms, struct in_addr *ret_endpoint);

/* The same as an ordinary client does it, blocking; ret_first_byte_ns is the time from connect() to the
 * answer. */
int answer_time(const struct sockaddr_in *to, int timeout_ms, struct in_addr *ret_endpoint,
                int64_t *ret_first_byte_ns);
