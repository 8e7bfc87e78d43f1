/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#include <stddef.h>

/* What a flag's value may be, as pflag and Kubernetes' own flag types read it, and where it goes. */
enum flag_type {
    FLAG_STRING,   /* const char * */
    FLAG_BOOL,     /* bool */
    FLAG_INT32,    /* int32_t */
    FLAG_FLOAT,    /* float */
    FLAG_DURATION, /* int64_t, nanoseconds */
    FLAG_IP,       /* const char *, an address; "" changes nothing */
    FLAG_IP_PORT,  /* const char *, an address or address:port; "" changes nothing */
    FLAG_LIST,     /* struct text_list; given again, it adds */
    FLAG_GATES,    /* struct proxy_settings: name=bool,... */
    FLAG_LEVEL,    /* int64_t */
    FLAG_VMODULE,  /* struct logging_settings: pattern=N,... */
    FLAG_QUANTITY, /* const char * */
    FLAG_VERSION,  /* const char *: true, false, raw, v1.2.3 */
};

/* Puts the value where it goes; value is kept. -EINVAL with a sentence, Go's words where it has them. */
int flag_value_set(enum flag_type type, void *where, const char *value, struct arena *arena, struct err *err);
/* Bytes at where, of the types that logging flags have: STRING, QUANTITY, BOOL, DURATION, LEVEL. */
size_t flag_value_size(enum flag_type type);
/* Appends the value as pflag would print it; the empty version is "false", as there. */
void flag_value_format(enum flag_type type, const void *where, struct arena *arena, struct text *ret);
