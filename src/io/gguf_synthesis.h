/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make a config.json of GGUF's metadata share (io/gguf_hf.c, io/gguf_rope.c). */
#ifndef IO_GGUF_SYNTHESIS_H
#define IO_GGUF_SYNTHESIS_H

#include "io/gguf.h"
#include "io/gguf_arch.h"

#include <jansson.h>

struct synthesis {
    const struct gguf *g;
    const char *path;
    const struct gguf_arch *arch;
    json_t *config;
    struct error *err;
    int bad; /* an allocation failed */
};

/* The shortest decimal that is this float: 1e-05, not 9.999999747378752e-06. */
double gguf_shortest(double v);
/* Sets a key of config.json, by LLaMA's name of it; takes value. */
void gguf_put_config(struct synthesis *s, const char *key, json_t *value);
/* The architecture's metadata key of that ending. */
void gguf_key_of(const struct synthesis *s, const char *suffix, char key[96]);
/* An integer in 1..max, a positive number. *out keeps its value when the key is absent and optional. */
int gguf_take_int(struct synthesis *s, const char *suffix, int optional, int64_t max, int64_t *out);
int gguf_take_float(struct synthesis *s, const char *suffix, int optional, double *out);

/* gguf_rope.c: rope_theta and rope_scaling. */
int gguf_take_rope(struct synthesis *s, int64_t head_dim, int64_t n_ctx);

#endif
