/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/tape.h"

#include <protobuf-c/protobuf-c.h>

#define DECODE_WARNINGS_MAX 64
#define DECODE_MEMORY_MAX ((size_t)256 << 20) /* that one message may take */

/* What decoding one document came to. */
struct decode_result {
    ProtobufCMessage *message; /* in the arena; NULL when refusal is set */
    const char *refusal;       /* "spec.ports[0].port: expected an integer, found "http"" */
    const char
        *upstream; /* a value of the wrong type: what an apiserver says of it (mismatch.h), else NULL */
    uint32_t line, column; /* of the refusal; 0 for what has no lines */
    const char *const *warnings;
    size_t warning_count;
};

/* Builds the message of the given type from the tape's root mapping, in the arena. Field names are the
 * descriptor's; apiVersion and kind at the root are skipped, null leaves a field unset, and a wrong type or a
 * key given twice is a refusal. With warn_unknown each unknown field makes a warning in the apiserver's
 * words, `unknown field "spec.foo"`, and the line where there are lines. */
void decode_message(const struct tape *tape, const ProtobufCMessageDescriptor *type, bool warn_unknown,
                    struct arena *arena, struct decode_result *ret);
