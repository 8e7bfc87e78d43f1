/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/announce.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void announce(enum notify_state state, const char *format, ...)
{
    static bool has_complained;
    char sentence[NOTIFY_MESSAGE_MAX], message[NOTIFY_MESSAGE_MAX];
    struct timespec now;
    struct err err;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    notify_message(state, sentence, now_us, message);
    if (notify_send(getenv("NOTIFY_SOCKET"), message, &err) == 0 || has_complained)
        return;
    has_complained = true;
    log_warning("%s", err.text);
}
