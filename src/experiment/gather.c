/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/parts.h"

int experiment_gather(struct experiment *x, struct buf *text, json_t **json, struct error *err)
{
    return experiment_plan(x, text, json, err);
}
