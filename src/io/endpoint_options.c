/* SPDX-License-Identifier: Apache-2.0 */
#include "io/endpoint.h"

void endpoint_options_default(struct endpoint_options *o)
{
    *o = (struct endpoint_options){.timeout = 60, .pause = 1, .tries = 6};
}
