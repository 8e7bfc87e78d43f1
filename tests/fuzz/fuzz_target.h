/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* What each target defines; libFuzzer and fuzz_replay.c call it. Returns 0; aborts when a property fails. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
