/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/http.h"

void http_options_default(struct http_options *o)
{
    *o = (struct http_options){.timeout = 60, .pause = 1, .tries = 6};
}
