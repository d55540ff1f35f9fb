/* SPDX-License-Identifier: Apache-2.0 */
/* --help and the man page, both printed from the tables of verbs and options. */
#include "cli/parts.h"

#include <stdio.h>
#include <string.h>

static const struct {
    unsigned group;
    const char *title;
} sections[] = {{GROUP_MODEL | GROUP_ADAPTER, "Model"},
                {GROUP_FILES, "Files"},
                {GROUP_ALIGN | GROUP_EXPERIMENT, "Run"},
                {GROUP_METHOD, "Method"},
                {GROUP_TRAINVERB, "Data"},
                {GROUP_DECODE, "Decoding"},
                {GROUP_TRAIN, "Training"},
                {GROUP_TOKENIZE, "Tokenizing"},
                {GROUP_EMBED, "Embedding"},
                {GROUP_CONVERT | GROUP_PULL, "Files"},
                {GROUP_INSPECT, "Inspecting"},
                {GROUP_PLAN, "Processes"},
                {GROUP_REPORT, "Report"},
                {GROUP_EXPORT, "Export"},
                {GROUP_SERVE, "Serving"},
                {GROUP_TALK, "Talking"},
                {GROUP_HTTP, "Listening"},
                {GROUP_ENGINE, "Engine"},
                {GROUP_EVAL | GROUP_TASK, "Evaluation"},
                {GROUP_COMMON | GROUP_DRY | GROUP_SEED, "Common"}};

void help_main(void)
{
    puts("isara: aligns an open language model to a domain from fewer than 100 question-answer examples.\n\n"
         "usage: isara VERB [options]\n\nverbs:");
    for (int i = 0; i < cli_n_verb; i++)
        printf("  %-11s %s\n", cli_verbs[i].name, cli_verbs[i].summary);
    puts("\nisara VERB --help shows a verb's options with an example; isara --version; isara --man prints the man "
         "page,\nisara --completion bash|zsh|fish a script for that shell to source.\n\n"
         "exit codes: 0 done, 1 failed (or some records failed), 2 wrong usage, 3 report --verify found a difference, "
         "65 "
         "bad data, 66 no input,\n"
         "            69 unavailable, 70 internal, 74 input/output, 75 interrupted and can be continued, 77 "
         "permission, 78 "
         "configuration");
}

static unsigned groups_of(const struct verb *verb)
{
    return verb->groups | GROUP_COMMON | (verb->groups & GROUP_EXPERIMENT ? 0 : GROUP_SEED);
}

/* Each option is printed under the first section of its group that the verb has. */
static int section_of(const struct option_spec *s, unsigned groups)
{
    for (int i = 0; i < (int)(sizeof sections / sizeof sections[0]); i++)
        if (s->group & groups & sections[i].group)
            return i;
    return -1;
}

static void print_option(const struct field *f)
{
    char left[96];
    struct buf right = BUF_INIT;
    snprintf(left, sizeof left, "--%s%s%s", f->name, f->argument ? " " : "", f->argument ? f->argument : "");
    field_describe(f, &right);
    printf("  %-44s %s\n", left, right.data ? right.data : "");
    buf_free(&right);
}

void help_verb(const struct verb *verb)
{
    unsigned groups = groups_of(verb);
    int n;
    const struct option_spec *table = option_table(&n);
    printf("isara %s: %s\n\nusage: isara %s %s\n\nexample:\n  %s\n", verb->name, verb->summary, verb->name,
           verb->arguments, verb->example);
    for (int section = 0; section < (int)(sizeof sections / sizeof sections[0]); section++) {
        int shown = 0;
        for (int i = 0; i < n; i++) {
            if (section_of(&table[i], groups) != section)
                continue;
            if (!shown++)
                printf("\n%s:\n", sections[section].title);
            print_option(table[i].field);
        }
    }
    if (verb->groups & GROUP_ALIGN)
        puts("\nDecoding options take the prefixes --ask- and --answer-, training options --train-, to hold for that "
             "phase only.");
    puts("\nNames may be written with - or _. Records and formats: docs/FORMATS.md.");
}

static void man_escaped(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '-' || *p == '\\')
            putchar('\\');
        putchar(*p);
    }
}

static void man_option(const struct field *f)
{
    struct buf text = BUF_INIT;
    printf(".TP\n.B \\-\\-");
    man_escaped(f->name);
    printf(" \\fI%s\\fR\n", f->argument ? f->argument : "");
    field_describe(f, &text);
    man_escaped(text.data ? text.data : "");
    buf_free(&text);
}

void help_man(void)
{
    int n;
    const struct option_spec *table = option_table(&n);
    puts(".TH ISARA 1\n.SH NAME\nisara \\- align a language model to a domain from fewer than 100 examples\n.SH "
         "SYNOPSIS\n.B isara\nVERB [options]\n.SH VERBS");
    for (int i = 0; i < cli_n_verb; i++) {
        printf(".TP\n.B %s\n", cli_verbs[i].name);
        man_escaped(cli_verbs[i].summary);
        printf("\n.br\n");
        man_escaped(cli_verbs[i].example);
        puts("");
    }
    puts(".SH OPTIONS");
    for (int i = 0; i < n; i++) {
        man_option(table[i].field);
        printf("\n.br\nverbs:");
        for (int v = 0; v < cli_n_verb; v++)
            if (table[i].group & groups_of(&cli_verbs[v]))
                printf(" %s", cli_verbs[v].name);
        puts("");
    }
    puts(".SH EXIT STATUS\n0 done; 1 failed or some records failed; 2 usage; 3 report --verify found a difference; 65 "
         "data; 66 no input; 69 unavailable; 70 "
         "internal; 74 input/output; "
         "75 interrupted, the same command continues; 77 permission; 78 configuration.\n"
         ".SH ENVIRONMENT\nISARA_ISA, ISARA_BF16, HF_HOME, HF_HUB_CACHE, NO_COLOR, COLUMNS, SOURCE_DATE_EPOCH");
}
