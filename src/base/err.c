/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return -code;
}

int err_prefix(struct err *err, int code, const char *format, ...)
{
    if (err) {
        struct err old = *err;
        va_list args;
        va_start(args, format);
        int len = vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        if (len >= 0 && (size_t)len < sizeof(err->text))
            snprintf(err->text + len, sizeof(err->text) - (size_t)len, ": %s", old.text);
    }
    return code;
}
