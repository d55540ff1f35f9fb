/* SPDX-License-Identifier: Apache-2.0 */
/* What decides the bits of what a speaker says, by the names of the options: for a run's settings and a test set's
 * journal. */
#include "answer/speaker.h"

#include "base/build.h"
#include "base/fields.h"
#include "io/jsontext.h"

#include <stdio.h>

int speaker_put_setting(json_t *settings, const char *name, const char *text)
{
    return json_object_set_new(settings, name, json_string(text ? text : ""));
}

const char *speaker_bits(const struct speaker *s)
{
    return s->o.dtype == DTYPE_F32 ? "f32" : device_isa(s->device);
}

int speaker_settings(const struct speaker *s, json_t *settings)
{
    struct buf template = BUF_INIT;
    json_error_t why;
    char seed[24];
    size_t n = 0;
    const char *retriever = field_choice_text(SPEAKER_RETRIEVERS, s->o.retriever, &n);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)s->o.seed);
    template_describe(s->template, &template);
    int rc = json_object_set_new(settings, "template",
                                 template.failed ? NULL : jsontext_document(template.data, template.len, 0, &why));
    rc |= json_object_set_new(settings, "retriever", retriever ? json_stringn(retriever, n) : NULL) |
          speaker_put_setting(settings, "encoder", s->o.encoder);
    rc |= speaker_put_setting(settings, "dtype", dtype_name(s->o.dtype)) | speaker_put_setting(settings, "seed", seed) |
          speaker_put_setting(settings, "model-sha256", s->source_sha256);
    rc |= speaker_put_setting(settings, "bits", speaker_bits(s)) | speaker_put_setting(settings, "build", build_name);
    buf_free(&template);
    return rc | json_object_update(settings, s->files);
}
