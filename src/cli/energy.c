/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb says of the energy that it took. */
#include "cli/parts.h"

#include "base/energy.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>

void cli_energy(struct energy *e, struct buf *text, struct buf *members)
{
    double joules = energy_joules(e);
    if (!isnan(joules)) {
        buf_printf(text, "%.1f J", joules);
        buf_printf(members, "\"joules\": %.3f, \"joules_unread\": null", joules);
        return;
    }
    json_t *why = json_string(energy_why(e));
    char *quoted = why ? json_dumps(why, JSON_ENCODE_ANY) : NULL;
    log_line(LOG_DEBUG, "energy not read: %s", energy_why(e));
    buf_puts(text, "energy not read");
    buf_printf(members, "\"joules\": null, \"joules_unread\": %s", quoted ? quoted : "null");
    free(quoted);
    json_decref(why);
}
