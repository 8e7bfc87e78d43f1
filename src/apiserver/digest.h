/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* SHA-256. */
void digest_sha256(const void *bytes, size_t len, uint8_t ret[32]);
/* The same as hexadecimal digits in upper case, as in upstream's ETag. */
void digest_hex(const void *bytes, size_t len, char ret[65]);
