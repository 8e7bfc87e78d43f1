/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "sys/http_client_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

/* Many clients hear the same last event, and shall not all ask at the same moment. */
uint64_t http_pulse_spread_ms(const struct http_client_options *options)
{
    unsigned number = 0;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        number = (unsigned)uv_hrtime();
    return number % (options->pulse_after_ms / 3 + 1);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t http_pulse_due(const struct http_call *call)
{
    const struct http_session *session = call->session;
    if (!session->options.pulse_path || !call->has_headers || call->timeout_ms || call->is_cancelled)
        return 0;
    /* Over HTTP/2 whatever comes shows that the connection of them all is well. */
    uint64_t moved_ms = session->is_http2 ? call->server_moved_ms : call->moved_ms;
    return later(moved_ms, call->server_asked_ms) + session->options.pulse_after_ms +
           session->pulse_spread_ms;
}

void http_pulse_start(struct http_call *silent)
{
    static const struct http_call_ops nothing = {0};
    struct http_session *session = silent->session;
    struct http_call *each, *pulse;
    struct text url = {0};
    DL_FOREACH (session->calls, each) {
        if (http_call_same_origin(each, silent))
            each->server_asked_ms = uv_now(session->client->loop);
    }
    text_printf(&url, "%.*s%s", (int)silent->origin_len, silent->url, session->options.pulse_path);
    const struct http_call_request request = {.method = "GET",
                                              .url = text_str(&url),
                                              .authorization = silent->authorization,
                                              .timeout_ms = session->options.dead_after_ms};
    int code = http_call_new(&pulse, session->client, &request, &nothing, NULL, &session->options, NULL);
    text_done(&url);
    if (code < 0)
        return;
    pulse->is_pulse = true;
    http_call_begin(pulse, session);
}
