/* SPDX-License-Identifier: Apache-2.0 */
/* How llama.cpp's architectures lie in GGUF files, beside what Hugging Face's directories call the same: a row each.
 * The only file of this floor that names families is gguf_arch.c; io/gguf_hf.c reads by these rows and model/gguf_out.c
 * writes by them. */
#ifndef IO_GGUF_ARCH_H
#define IO_GGUF_ARCH_H

#include <stddef.h>
#include <stdint.h>

/* What llama.cpp's conversion does to a tensor. */
enum gguf_change {
    GGUF_AS_IS,
    GGUF_PAIRS_Q,  /* the halves of each head's rows become pairs (gguf_hf_row) */
    GGUF_PAIRS_K,  /* the same, heads of keys and values */
    GGUF_PLUS_ONE, /* holds 1 + w */
    GGUF_TURNED,   /* matrices are transposed */
    GGUF_QKV       /* rows lie by query, key and value, where Hugging Face has them by heads */
};
enum gguf_parts { GGUF_WEIGHT = 1, GGUF_BIAS = 2 };
struct gguf_name {
    const char *gguf, *hf; /* without ".weight" and ".bias"; of a layer: after "blk.N." and the row's `layer` */
    int of_layer, parts;
    enum gguf_change change;
};
enum gguf_kind { GGUF_KIND_INT, GGUF_KIND_FLOAT, GGUF_KIND_BOOL };
/* A metadata key ARCH.suffix that only some architectures have, as the key of config.json that it is. */
struct gguf_setting {
    const char *suffix, *key;
    enum gguf_kind kind;
    double missing; /* what llama.cpp takes without the key; NAN: then config.json has none either */
};
struct gguf_arch {
    const char *name, *model_type, *class;
    const char *layer; /* Hugging Face's prefix of a layer's tensors, before its number */
    const struct gguf_name *names;
    int n_name;
    const struct gguf_setting *settings;
    int n_setting;
    const char *fixed;          /* members of config.json that the architecture means, as JSON */
    const char *const *aliases; /* pairs: LLaMA's key of config.json, this family's; NULL at the end; or NULL */
    int biases;                 /* attention_bias and mlp_bias follow from the tensors that are there */
    int layer_norm;             /* its epsilon is attention.layer_norm_epsilon */
    int encoder;                /* sees what comes after too; has no head */
    int positions;              /* a learned table; nothing rotates */
    /* with so many layers attention is scaled by 1/sqrt(width / heads), else by 1/sqrt(head size); 0: always by that */
    int scale_layers;
    /* every so many-th layer sees everything when no key says otherwise; 0: the window is every layer's */
    int window_pattern;
    const char *rotary; /* config.json's key of the share of a head that rotates; NULL: all does */
    int window_unused;  /* llama.cpp reads the window's key and does without */
    int longrope;       /* reads rope_factors_long.weight and rope_factors_short.weight */
    int headed;         /* wants an output.weight of its own */
    int square;         /* heads times head size must be the width */
    int no_frequencies; /* llama.cpp does not read rope_freqs.weight of it */
};

/* The row that reads files of that architecture (name: not NUL-terminated), or NULL. */
const struct gguf_arch *gguf_arch_find(const char *name, size_t n);
/* The row that writes models of that model_type, or NULL: llama.cpp has no such architecture. */
const struct gguf_arch *gguf_arch_of_type(const char *model_type);
/* Every name, for messages. */
const char *gguf_arch_names(void);

/* The row's entry for a tensor: part, its name after "blk.N." or all of it, ends in ".weight" or ".bias" (*tail: that
 * end). NULL: has none. */
const struct gguf_name *gguf_arch_tensor(const struct gguf_arch *a, const char *part, int of_layer, const char **tail);
/* The same by Hugging Face's name, whole or after the layer's prefix and number. */
const struct gguf_name *gguf_arch_hf_tensor(const struct gguf_arch *a, const char *part, int of_layer,
                                            const char **tail);
const struct gguf_setting *gguf_arch_setting(const struct gguf_arch *a, const char *suffix);

#endif
