/* The OpenAPI documents: whole by themselves, equal where both services are, and served in every form. */
#include "global_query_openapi.h" /* generated: global_query_openapi[] */
#include "goprobe_openapi.h"      /* generated: goprobe_openapi[] */
#include "proto/base/version.h"
#include "proto/service/openapi.h"

#include <cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static gp_openapi goprobe(void)
{
    return (gp_openapi){"goprobe", (const char *)goprobe_openapi, sizeof goprobe_openapi - 1};
}

static gp_openapi global_query(void)
{
    return (gp_openapi){"global-query", (const char *)global_query_openapi, sizeof global_query_openapi - 1};
}

static cJSON *as_json(gp_openapi doc)
{
    gp_buf text = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    if (gp_openapi_json(&doc, NULL, &text, &err) != GP_OK)
        fail_msg("%s", err.msg);
    cJSON *json = cJSON_Parse(text.data);
    assert_non_null(json);
    gp_buf_free(&text);
    return json;
}

static const cJSON *member(const cJSON *node, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(node, name);
}

/* "#/components/schemas/Args" */
static const cJSON *at(const cJSON *doc, const char *reference)
{
    char path[128];
    char *rest = NULL;
    snprintf(path, sizeof path, "%s", reference + strlen("#/"));
    for (char *part = strtok_r(path, "/", &rest); part && doc; part = strtok_r(NULL, "/", &rest))
        doc = member(doc, part);
    return doc;
}

/* Counts the references below node; each must lead somewhere. */
static unsigned follow(const cJSON *doc, const cJSON *node)
{
    unsigned n = 0;
    if (node->string && strcmp(node->string, "$ref") == 0) {
        assert_true(cJSON_IsString(node));
        if (!at(doc, node->valuestring))
            fail_msg("nothing at %s", node->valuestring);
        n = 1;
    }
    for (const cJSON *child = node->child; child; child = child->next)
        n += follow(doc, child);
    return n;
}

static void every_reference_leads_somewhere(void **state)
{
    (void)state;
    const gp_openapi docs[] = {goprobe(), global_query()};
    for (size_t i = 0; i < 2; i++) {
        cJSON *doc = as_json(docs[i]);
        assert_true(follow(doc, doc) > 40);
        cJSON_Delete(doc);
    }
}

/* What nothing refers to is left over. */
static bool is_used(const cJSON *node, const char *reference)
{
    if (node->string && strcmp(node->string, "$ref") == 0 && strcmp(node->valuestring, reference) == 0)
        return true;
    for (const cJSON *child = node->child; child; child = child->next)
        if (is_used(child, reference))
            return true;
    return false;
}

static void nothing_is_left_over(void **state)
{
    (void)state;
    const gp_openapi docs[] = {goprobe(), global_query()};
    for (size_t i = 0; i < 2; i++) {
        cJSON *doc = as_json(docs[i]);
        for (const cJSON *kind = member(doc, "components")->child; kind; kind = kind->next)
            for (const cJSON *one = kind->child; one; one = one->next) {
                char reference[128];
                snprintf(reference, sizeof reference, "#/components/%s/%s", kind->string, one->string);
                bool scheme = strcmp(kind->string, "securitySchemes") == 0; /* used by name, in "security" */
                if (scheme ? !member(member(doc, "security")->child, one->string) : !is_used(doc, reference))
                    fail_msg("%s: nothing uses %s", docs[i].service, reference);
            }
        cJSON_Delete(doc);
    }
}

/* Both services speak of the same queries and results. */
static void shared_schemas_are_equal(void **state)
{
    (void)state;
    cJSON *sensor = as_json(goprobe());
    cJSON *fleet = as_json(global_query());
    const cJSON *ours = at(sensor, "#/components/schemas");
    unsigned shared = 0;
    for (const cJSON *s = at(fleet, "#/components/schemas")->child; s; s = s->next) {
        const cJSON *twin = member(ours, s->string);
        if (!twin || !cJSON_Compare(s, twin, true))
            fail_msg("schema %s differs between goprobe.yaml and global-query.yaml", s->string);
        shared++;
    }
    assert_true(shared > 15);
    cJSON_Delete(sensor);
    cJSON_Delete(fleet);
}

static void the_version_is_ours(void **state)
{
    (void)state;
    const gp_openapi docs[] = {goprobe(), global_query()};
    for (size_t i = 0; i < 2; i++) {
        cJSON *doc = as_json(docs[i]);
        assert_string_equal(member(member(doc, "info"), "version")->valuestring, gp_version());
        assert_string_equal(member(doc, "openapi")->valuestring, "3.0.3");
        cJSON_Delete(doc);
    }
}

/* Numbers and booleans stay what they are; quoted ones stay text. */
static void scalars_keep_their_types(void **state)
{
    (void)state;
    static const char yaml[] = "a: [1, -2, 0.5, '1', 007, true, \"true\", null, text]\n";
    const gp_openapi doc = {"x", yaml, sizeof yaml - 1};
    gp_buf json = GP_BUF_INIT;
    assert_int_equal(gp_openapi_json(&doc, NULL, &json, NULL), GP_OK);
    assert_string_equal(json.data, "{\"a\":[1,-2,0.5,\"1\",\"007\",true,\"true\",null,\"text\"]}");
    gp_buf_free(&json);
}

static void a_schema_stands_for_itself(void **state)
{
    (void)state;
    const gp_openapi doc = global_query();
    gp_buf json = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_openapi_json(&doc, "Result", &json, &err), GP_OK);
    assert_non_null(strstr(json.data, "\"/schemas/Row.json\""));
    assert_null(strstr(json.data, "#/components"));
    gp_buf_free(&json);
    assert_int_equal(gp_openapi_json(&doc, "StatusResponse", &json, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "StatusResponse"));
    gp_buf_free(&json);
}

static void the_text_is_written_to_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/gp-openapi-XXXXXX";
    const gp_openapi doc = goprobe();
    int fd = mkstemp(path);
    gp_error err = GP_ERROR_INIT;
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "r");
    assert_non_null(f);
    assert_int_equal(gp_openapi_write(&doc, path, &err), GP_OK);
    char *text = malloc(doc.len + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, doc.len + 1, f), doc.len);
    assert_memory_equal(text, doc.text, doc.len);
    free(text);
    fclose(f);
    remove(path);
    assert_int_equal(gp_openapi_write(&doc, "/nonexistent/openapi.yaml", &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/openapi.yaml"));
    assert_int_equal(gp_openapi_write(&doc, "/dev/full", &err), GP_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reference_leads_somewhere), cmocka_unit_test(nothing_is_left_over),
        cmocka_unit_test(shared_schemas_are_equal),        cmocka_unit_test(the_version_is_ours),
        cmocka_unit_test(scalars_keep_their_types),        cmocka_unit_test(a_schema_stands_for_itself),
        cmocka_unit_test(the_text_is_written_to_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
