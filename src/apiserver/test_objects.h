/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "api/decode.h"
#include "api/defaults.h"
#include "api/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The message of a YAML document, in the arena: as decoded, not defaulted. */
static inline ProtobufCMessage *test_read(enum api_kind kind, const char *text, struct arena *arena)
{
    static const yaml_event_type_t heads[] = {YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT};
    struct tape tape;
    struct decode_result result;
    yaml_parser_t parser;
    yaml_event_t event;
    tape_init(&tape, arena); /* the message borrows its text */
    assert_true(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        assert_true(yaml_parser_parse(&parser, &event));
        assert_int_equal(event.type, heads[i]);
        yaml_event_delete(&event);
    }
    assert_true(yaml_parser_parse(&parser, &event));
    if (!tape_add(&tape, &parser, &event, 0) || tape.fault.sentence)
        fail_msg("%s: %s", text, tape.fault.sentence ? tape.fault.sentence : "no YAML");
    decode_message(&tape, api_kind_info(kind)->type, true, arena, &result);
    if (result.refusal || result.warning_count)
        fail_msg("%s: %s", text, result.refusal ? result.refusal : result.warnings[0]);
    yaml_parser_delete(&parser);
    tape_done(&tape);
    return result.message;
}

/* As the scheme alone defaults a Service: families and cluster IPs are left as they were given. */
static inline void test_default_service(Core__Service *service, struct arena *arena)
{
    Core__ServiceSpec given = *service->spec, *spec = service->spec;
    defaults_apply(API_SERVICE, &service->base, arena);
    spec->n_clusterips = given.n_clusterips;
    spec->n_ipfamilies = given.n_ipfamilies;
    spec->clusterips = given.clusterips;
    spec->ipfamilies = given.ipfamilies;
    spec->ipfamilypolicy = given.ipfamilypolicy;
}
