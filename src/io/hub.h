/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a model by the name it has on the Hugging Face hub in the cache that Hugging Face's own tools fill. Never opens
 * a socket. */
#ifndef IO_HUB_H
#define IO_HUB_H

#include "base/error.h"

/* The cache directory: $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $TRANSFORMERS_CACHE (both legacy), else
 * $HF_HOME/hub, else ${XDG_CACHE_HOME:-~/.cache}/huggingface/hub. mem_free it; NULL when out of memory or there is no
 * home. */
char *hub_cache(void);
/* *out (mem_free) := path itself when something is there; else, for "org/name" or "org/name@revision", the snapshot's
 * directory in the cache (revision main, a branch, a tag or a commit), or the file where one .gguf is all that it has
 * of weights. The error names the command that downloads
 * it. */
int hub_resolve(char **out, const char *path, struct error *err);

/* The parts of "org/name" or "org/name@revision" (else main), which point into the text. ERROR_USAGE for anything
 * else. */
struct hub_name {
    const char *org, *name, *revision;
    int n_org, n_name;
};
int hub_name_parse(struct hub_name *out, const char *text, struct error *err);

#endif
