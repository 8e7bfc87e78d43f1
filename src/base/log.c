/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum log_level threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    threshold = level;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > threshold)
        return;
    char line[2048];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    int head = snprintf(line, sizeof(line), "%c %04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", "EWID"[level],
                        utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                        now.tv_nsec / 1000000);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, args);
    va_end(args);
    if (len < 0)
        return;
    size_t end = (size_t)head + (size_t)len;
    if (end > sizeof(line) - 2)
        end = sizeof(line) - 2;
    for (size_t i = (size_t)head; i < end; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[end] = '\n';
    if (write(STDERR_FILENO, line, end + 1) < 0) {
        /* Nowhere left to say it. */
    }
}
