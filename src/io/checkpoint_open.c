/* SPDX-License-Identifier: Apache-2.0 */
/* Opens whatever the path is. */
#include "io/checkpoint_parts.h"

#include "base/mem.h"
#include "io/hub.h"

int checkpoint_open(struct checkpoint **out, const char *path, struct error *err)
{
    char *resolved = NULL;
    *out = NULL;
    int adapter = 0, rc = hub_resolve(&resolved, path, err);
    if (!rc)
        rc = checkpoint_is_adapter(resolved, &adapter, err);
    if (!rc)
        rc = adapter ? checkpoint_open_adapter(out, NULL, resolved, err) : checkpoint_open_base(out, path, err);
    mem_free(resolved);
    return rc;
}
