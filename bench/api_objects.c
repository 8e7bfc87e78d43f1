/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api_objects.h"

void object_namespace(struct text *ret)
{
    text_add(ret, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" OBJECT_NAMESPACE
                  "\"}}");
}

void object_service(unsigned number, struct text *ret)
{
    text_printf(ret,
                "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"svc-%u\",\"namespace\":"
                "\"" OBJECT_NAMESPACE "\",\"labels\":{\"app\":\"app-%u\",\"team\":\"team-%u\"}},\"spec\":{"
                "\"selector\":{\"app\":\"app-%u\"},"
                "\"ports\":[{\"name\":\"http\",\"port\":80,\"targetPort\":8080},"
                "{\"name\":\"metrics\",\"port\":9090,\"targetPort\":9090}]}}",
                number, number, number % 20, number);
}

/* Pods of service N have the addresses from 10.128.0.0 + 16 * N on; marks move the first one within the last
 * six. */
static void add_endpoints(unsigned number, unsigned mark, struct text *ret)
{
    text_add(ret, "\"endpoints\":[");
    for (unsigned i = 0; i < OBJECT_ENDPOINTS; i++) {
        unsigned at = number * 16 + (i || !mark ? i : OBJECT_ENDPOINTS + mark % 6);

        text_printf(ret,
                    "%s{\"addresses\":[\"10.%u.%u.%u\"],\"conditions\":{\"ready\":true,\"serving\":true,"
                    "\"terminating\":false},\"nodeName\":\"node-%u\",\"zone\":\"zone-%u\",\"targetRef\":{"
                    "\"kind\":\"Pod\","
                    "\"namespace\":\"" OBJECT_NAMESPACE "\",\"name\":\"app-%u-5d4f8c7b9-x%u\","
                    "\"uid\":\"00000000-0000-4000-8000-%012x\"}}",
                    i ? "," : "", 128 + (at >> 16), (at >> 8) & 255, at & 255, at % 500, at % 3, number, i,
                    at);
    }
    text_add(ret, "]");
}

static void add_mark(unsigned mark, struct text *ret)
{
    text_printf(ret, "\"annotations\":{\"bench/mark\":\"" OBJECT_MARK "%0*u\"}", OBJECT_MARK_DIGITS, mark);
}

void object_slice(unsigned number, unsigned mark, struct text *ret)
{
    text_printf(ret,
                "{\"apiVersion\":\"discovery.k8s.io/"
                "v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"svc-%u-x\","
                "\"namespace\":\"" OBJECT_NAMESPACE
                "\",\"labels\":{\"kubernetes.io/service-name\":\"svc-%u\","
                "\"endpointslice.kubernetes.io/managed-by\":\"bench\"},",
                number, number);
    add_mark(mark, ret);
    text_add(ret, "},\"addressType\":\"IPv4\",");
    add_endpoints(number, mark, ret);
    text_add(ret, ",\"ports\":[{\"name\":\"http\",\"port\":8080,\"protocol\":\"TCP\"},"
                  "{\"name\":\"metrics\",\"port\":9090,\"protocol\":\"TCP\"}]}");
}

void object_slice_patch(unsigned number, unsigned mark, struct text *ret)
{
    text_add(ret, "{\"metadata\":{");
    add_mark(mark, ret);
    text_add(ret, "},");
    add_endpoints(number, mark, ret);
    text_add(ret, "}");
}

void object_slice_path(unsigned number, struct text *ret)
{
    text_printf(ret, "/apis/discovery.k8s.io/v1/namespaces/" OBJECT_NAMESPACE "/endpointslices/svc-%u-x",
                number);
}
