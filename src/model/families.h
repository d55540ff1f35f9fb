/* SPDX-License-Identifier: Apache-2.0 */
/* A family of models is a row: what its config.json calls things, transformers' defaults where it says nothing, its
 * classes, the names of its tensors, and what its layers have. No other file names a family. */
#ifndef MODEL_FAMILIES_H
#define MODEL_FAMILIES_H

#include "model/model.h"

/* What a layer may hold, in the flat order; a bias stands behind what it belongs to. */
enum layer_part {
    PART_ATTN_NORM,
    PART_ATTN_NORM_BIAS,
    PART_QKV,
    PART_QKV_BIAS,
    PART_Q_NORM,
    PART_K_NORM,
    PART_O,
    PART_O_BIAS,
    PART_ATTN_POST,
    PART_ATTN_POST_BIAS,
    PART_MLP_NORM,
    PART_MLP_NORM_BIAS,
    PART_GATE_UP,
    PART_GATE_UP_BIAS,
    PART_DOWN,
    PART_DOWN_BIAS,
    PART_MLP_POST,
    PART_MLP_POST_BIAS,
    PART_COUNT
};
/* Which rows of its part a tensor holds. HEADS: all of queries, keys and values, but one head after the other: its
 * query, its key, its value. */
enum tensor_rows { ROWS_ALL, ROWS_HEADS, ROWS_Q, ROWS_K, ROWS_V, ROWS_GATE, ROWS_UP };
struct family_tensor {
    enum layer_part part;
    enum tensor_rows rows;
    const char *name; /* behind the layer's prefix */
};
/* A true or false of config.json that says whether parts are there. */
struct family_switch {
    const char *key; /* NULL: always */
    int missing;
    uint32_t parts; /* 1 << part, ... */
};
struct family_alias {
    const char *ours, *theirs;
};
/* transformers' value of a key that is absent (one that is null means none); keys as the family calls them. */
struct family_default {
    const char *key;
    double value;
};
struct family {
    const char *type; /* model_type */
    const char *lm, *base, *classify, *score,
        *score2; /* classes of architectures; NULL: has none (score: PKU-Alignment's) */
    const char *const *
        /* further classes whose heads are not read, up to a NULL; a family without lm is of encoders, which have no
         * head at all */
        bodies;
    const char *embed, *positions, *final_norm, *final_norm_bias, *head,
        *layer; /* tensors; positions NULL: rotary; layer: "model.layers.%d." */
    /* tensors or NULL: of token types (every token is of type 0), and of a norm of what the first layer reads */
    const char *types, *embed_norm, *embed_norm_bias;
    const char *project_in, *project_out; /* tensors or NULL: between an embedding of embed_width columns and the
                                             layers, and between the final norm and the head */
    const struct family_alias *beginnings,
        *endings; /* of tensors' names, as other files have them; each up to {NULL, NULL} */
    const struct family_tensor *tensors;
    int n_tensor, transposed; /* transposed: matrices lie as [inputs, outputs] */
    const struct family_switch *switches;
    int n_switch;
    const struct family_alias *aliases; /* of keys that the other families call like LLaMA */
    int n_alias;
    const struct family_default *defaults;
    int n_default;
    enum norm_kind norm;
    const char *eps; /* key (NULL: it has none) and transformers' default */
    double eps_missing;
    enum norm_place place;
    const char *place_switch; /* key (absent: true): false puts norms at place_off and leaves the final one out */
    enum norm_place place_off;
    const char *no_final_norm;   /* key: true leaves it out */
    const char *affine;          /* key (absent: true): false leaves weights and biases of norms out */
    const char *embed_width;     /* key: columns of the embedding (absent: hidden_size); NULL: hidden_size */
    const char *parallel_switch; /* key that goes over `parallel` */
    int parallel, gated, bidirectional, scaled_embedding; /* scaled_embedding: by sqrt(hidden_size) */
    enum qk_norm qk_norm;
    float norm_offset;
    int ff_multiple;      /* intermediate_size is so many hidden_size when it is null or absent; 0: it must be there */
    const char *unscaled; /* key: false leaves attention unscaled; NULL: it is always scaled */
    const char *layer_scale; /* key: true divides attention's scale by the layer's number from 1 on; NULL: never */
    const char *act;         /* transformers' default of hidden_act */
    int gelu_is_tanh;        /* "gelu" means gelu_pytorch_tanh */
    /* modules that an adapter stands beside where nobody names them, as PEFT has it; NULL: q_proj,v_proj */
    const char *adapted;
    const char *rotary; /* key of the share of a head that rotates; NULL: all */
    double rotary_missing;
    int position_offset;
    /* positions begin behind pad_token_id, whose own tokens have its and are not counted (fairseq's way) */
    int positions_from_pad;
    int only_pad;                    /* with that: the one pad_token_id that it may be; 0: any */
    const char *distances, *buckets; /* tensor of what is added to scores by distance, of all layers, and the key of how
                                        many rows it has; NULL: there is none */
    const char *attention_cap, *logit_cap, *attention_scalar, *window; /* keys, or NULL */
    int window_pattern;        /* with `window`: every so many-th layer sees all; 0: none does */
    const char *window_switch; /* key: false leaves all windows out (absent: false); NULL: they are used */
    const char *window_from;   /* key of the first layer that has one; NULL: layer 0 */
    const char *window_every;  /* key that goes over window_pattern; NULL: none */
    int layer_types;           /* the key of this name, when there, says by itself which layers have one */
    const char *
        /* key of the theta by which layers with a window rotate (rope_parameters then has a rule for each kind);
         * NULL: by the others' */
        local_theta;
    int old_longrope; /* rope_type su and yarn mean longrope */
    const char
        *rotary_layers; /* key of a list with a number a layer, 0 where nothing rotates; NULL: every layer rotates */
    const char *
        /* without that list: key that says that in every so many-th layer nothing rotates; NULL: every layer rotates */
        rotary_every;
    int window_unrotated; /* windows are those of layers where nothing rotates */
};

extern const struct family families[];
extern const int n_family;
const struct family *family_find(const char *type);
/* A row beside those of families.c, for tests; NULL takes it away again. */
void family_set_extra(const struct family *f);
/* The tensor that the row calls so, under that name or one that other files of the family have; NULL: there is none. */
const struct tensor_info *family_find_tensor(const struct family *f, const struct checkpoint *source, const char *name);
int activation_find(
    const char *name); /* enum activation of transformers' name; -1: unknown, or with parameters of its own */
int family_default(const struct family *f, const char *key, double *value); /* 0: the family has none for this key */
/* "llama", ...: for messages. */
void family_names(char *out, size_t size);

#endif
