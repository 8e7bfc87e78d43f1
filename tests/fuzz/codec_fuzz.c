/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/documents.h"
#include "api/encode.h"
#include "fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The properties: a document is refused, passed over or decoded, never two of them; what was decoded is
 * written, read back and written again as the very same text, by way of YAML, of JSON and of the wire form.
 */

static void require(bool holds, const char *what, const char *one, const char *other)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n--- one\n%s\n--- other\n%s\n", what, one, other);
    abort();
}

static void write_yaml(void *context, const struct document *document)
{
    require(document->object != NULL, "what was written is not read back",
            document->refusal ? document->refusal : "", document->name ? document->name : "");
    encode_yaml(document->object, context);
}

static void check_same(const struct text *yaml, const struct text *form)
{
    struct text again = {0};
    struct err err = {0};
    int status = documents_read("again", text_str(form), form->len, write_yaml, &again, &err);
    require(status == 0, err.text, text_str(form), "");
    require(strcmp(text_str(yaml), text_str(&again)) == 0, "reading back changes the object", text_str(yaml),
            text_str(&again));
    text_done(&again);
}

static void check_wire(const struct api_object *object, const struct text *yaml)
{
    size_t len = protobuf_c_message_get_packed_size(object->message);
    uint8_t *wire = xmalloc(len);
    protobuf_c_message_pack(object->message, wire);
    struct api_object copy = *object;
    ProtobufCMessage *message = protobuf_c_message_unpack(object->message->descriptor, NULL, len, wire);
    require(message != NULL, "the wire form is not read back", text_str(yaml), "");
    copy.message = message;
    struct text again = {0};
    encode_yaml(&copy, &again);
    require(strcmp(text_str(yaml), text_str(&again)) == 0, "the wire form changes the object", text_str(yaml),
            text_str(&again));
    text_done(&again);
    protobuf_c_message_free_unpacked(message, NULL);
    free(wire);
}

static void check_document(void *context, const struct document *document)
{
    int outcomes = (document->object != NULL) + (document->refusal != NULL) + document->passed_over;
    require(outcomes == 1, "a document has one outcome", document->refusal ? document->refusal : "", "");
    require(document->line > 0 && document->column > 0, "a document has a place", "", "");
    if (!document->object)
        return;
    struct text yaml = {0}, json = {0};
    encode_yaml(document->object, &yaml);
    encode_json(document->object, &json);
    check_same(&yaml, &yaml);
    check_same(&yaml, &json);
    check_wire(document->object, &yaml);
    text_done(&yaml);
    text_done(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    int status = documents_read("fuzz", (const char *)data, size, check_document, NULL, &err);
    require((status != 0) == (err.text[0] != '\0'), "a failure has its sentence", err.text, "");
    return 0;
}
