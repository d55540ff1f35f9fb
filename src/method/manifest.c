/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a run only later than its beginning, into its manifest.json. */
#include "method/parts.h"

#include "base/mem.h"
#include "io/file.h"
#include "io/jsontext.h"

int align_note_manifest(const struct align *a, const char *name, json_t *value, struct error *err)
{
    char *path = path_join(a->o.output, "manifest.json");
    json_t *manifest = NULL;
    int rc = path && value ? 0 : error_set_nomem(err, 64, "manifest");
    if (!rc && file_exists(path))
        rc = jsontext_load(&manifest, path, 1 << 24, err);
    if (!rc && json_is_object(manifest) && !json_equal(json_object_get(manifest, name), value)) {
        json_object_set(manifest, name, value);
        rc = jsontext_write(path, manifest, err);
    }
    json_decref(manifest);
    json_decref(value);
    mem_free(path);
    return rc;
}
