/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash, zsh and fish. The scripts know nothing of isara: for every word under a cursor they ask the
 * program, by isara --complete WORD... with the words from the verb up to that one. Its first line says what may stand
 * there besides what follows: "words" (nothing), "files" or "directories"; then a line for each word that it may
 * become, with a tab and a description behind. What is typed stays as it is typed, '_' for '-' too. */
#include "cli/parts.h"

#include "base/mem.h"
#include "eval/eval.h"
#include "io/hub.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

struct typed {
    const char *lead, *text; /* lead: what of the word is settled, as --name= */
    size_t n_lead;
};

/* A line for text, when it begins as what is typed does; of its description the first clause. */
static void offer(const struct typed *t, const char *text, size_t n, const char *about)
{
    size_t n_typed = strlen(t->text);
    for (size_t i = 0; i < n_typed; i++)
        if (i >= n || (t->text[i] != text[i] && !(t->text[i] == '_' && text[i] == '-')))
            return;
    printf("%.*s%s%.*s", (int)t->n_lead, t->lead, t->text, (int)(n - n_typed), text + n_typed);
    if (about && *about)
        printf("\t%.*s", (int)strcspn(about, ":;[(\n"), about);
    putchar('\n');
}

static void offer_verbs(const struct typed *t)
{
    for (int i = 0; i < cli_n_verb; i++)
        offer(t, cli_verbs[i].name, strlen(cli_verbs[i].name), cli_verbs[i].summary);
}

static void offer_choices(const struct typed *t, const char *choices)
{
    size_t n;
    const char *text;
    for (int i = 0; (text = field_choice_text(choices, i, &n)) != NULL; i++)
        offer(t, text, n, NULL);
}

/* Models of the Hugging Face cache: models--org--name. */
static void offer_cached(const struct typed *t)
{
    char *cache = hub_cache(), name[512];
    DIR *directory = cache ? opendir(cache) : NULL;
    for (struct dirent *e = directory ? readdir(directory) : NULL; e; e = readdir(directory)) {
        const char *org = !strncmp(e->d_name, "models--", 8) ? e->d_name + 8 : NULL,
                   *rest = org ? strstr(org, "--") : NULL;
        if (!rest)
            continue;
        snprintf(name, sizeof name, "%.*s/%s", (int)(rest - org), org, rest + 2);
        offer(t, name, strlen(name), "in the Hugging Face cache");
    }
    if (directory)
        closedir(directory);
    mem_free(cache);
}

static int is_one_of(const char *text, const char *choices)
{
    return text && field_choice(choices, text) >= 0;
}

/* What may stand as the value of an option. */
static void complete_value(const struct typed *t, const struct verb *verb, const struct field *f)
{
    const char *a = f->argument;
    if (is_one_of(a, "FILE|PATH|M|CONFIG"))
        puts("files");
    else
        puts(is_one_of(a, "DIR|RUN|[NAME=]DIR") ? "directories" : "words");
    if (!strcmp(f->name, "model"))
        offer_cached(t);
    if (!strcmp(f->name, "task") && (verb->groups & GROUP_EVAL)) {
        const char *name, *summary;
        for (int i = 0; (name = eval_task_name(i, &summary)) != NULL; i++)
            offer(t, name, strlen(name), summary);
    } else if (f->type == FIELD_FLAG) {
        offer_choices(t, "true|false");
    } else if (f->values || (a && strchr(a, '|'))) {
        offer_choices(t, f->values ? f->values : a);
    }
}

static void offer_option(const struct typed *t, const char *prefix, const struct field *f)
{
    struct buf about = BUF_INIT;
    char name[96];
    field_describe(f, &about);
    int n = snprintf(name, sizeof name, "--%s%s", prefix, f->name);
    offer(t, name, (size_t)n, about.data);
    if (f->type == FIELD_FLAG && f->initial && !strcmp(f->initial, "true")) {
        n = snprintf(name, sizeof name, "--no-%s", f->name);
        if (!*prefix)
            offer(t, name, (size_t)n, "not so");
    }
    buf_free(&about);
}

static void complete_option(const struct typed *t, unsigned groups)
{
    int n;
    const struct option_spec *table = option_table(&n);
    puts("words");
    for (int i = 0; i < n; i++)
        if (table[i].group & groups)
            offer_option(t, "", table[i].field);
    for (int k = 0; k < OPTION_N_PREFIX && (groups & GROUP_ALIGN); k++)
        if (strlen(t->text) > strlen(option_prefixes[k].text)) /* a phase's own are many: only for who begins one */
            for (int i = 0; i < n; i++)
                if (table[i].group & option_prefixes[k].group)
                    offer_option(t, option_prefixes[k].text, table[i].field);
}

/* The option that a word names, up to its end or a '='. */
static const struct field *option_of(const char *word, unsigned groups)
{
    char name[96];
    if (strncmp(word, "--", 2))
        return NULL;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const struct option_spec *s = options_named(name, groups);
    return s ? s->field : NULL;
}

/* Of the words behind a verb the last; bash takes --name=value for three. */
static void complete_word(const struct verb *verb, int n, char **words)
{
    unsigned groups = verb->groups | GROUP_COMMON | (verb->groups & GROUP_EXPERIMENT ? 0 : GROUP_SEED);
    struct typed t = {"", words[n - 1], 0};
    const char *before = n > 1 ? words[n - 2] : "", *equals = strchr(t.text, '=');
    const struct field *f = NULL;
    if (!strcmp(t.text, "=") || (!strcmp(before, "=") && n > 2)) {
        f = option_of(t.text[0] == '=' ? before : words[n - 3], groups);
        t.text += t.text[0] == '=';
    } else if (equals && !strncmp(t.text, "--", 2)) {
        f = option_of(t.text, groups);
        t = (struct typed){t.text, equals + 1, (size_t)(equals + 1 - t.text)};
    } else if (!strchr(before, '=')) {
        f = option_of(before, groups);
        f = f && f->type == FIELD_FLAG ? NULL : f;
    }
    char first = verb->arguments[0];
    if (f) {
        complete_value(&t, verb, f);
    } else if (t.text[0] != '-' && first == 'M') { /* MODEL */
        puts("files");
        offer_cached(&t);
    } else if (t.text[0] != '-' && (first == '(' || first == 'P' || first == 'R' || first == 'F')) {
        puts("files"); /* PATH, RUN, FILE */
    } else {
        complete_option(&t, groups);
    }
}

void complete_words(int n, char **words)
{
    struct typed t = {"", n ? words[n - 1] : "", 0};
    int help = n > 1 && !strcmp(words[0], "help");
    if (n > 1 && !help) {
        const struct verb *verb = verb_find(words[0]);
        if (verb)
            complete_word(verb, n - 1, words + 1);
        return;
    }
    puts("words");
    if (t.text[0] == '-')
        offer_choices(&t, "--help|--version|--man|--completion");
    else
        offer_verbs(&t);
}

/* clang-format off */
static const char bash_script[] =
    "# isara --completion bash\n"
    "_isara() {\n"
    "  local IFS=$'\\n' lines kind cur=${COMP_WORDS[COMP_CWORD]}\n"
    "  mapfile -t lines < <(\"${COMP_WORDS[0]}\" --complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "  kind=${lines[0]}\n"
    "  COMPREPLY=(\"${lines[@]:1}\")\n"
    "  COMPREPLY=(\"${COMPREPLY[@]%%$'\\t'*}\")\n"
    "  [ \"$cur\" != = ] || cur=\n"
    "  compopt +o default 2>/dev/null\n"
    "  case $kind in\n"
    "    files) COMPREPLY+=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null ;;\n"
    "    directories) COMPREPLY+=($(compgen -d -- \"$cur\")); compopt -o filenames 2>/dev/null ;;\n"
    "  esac\n"
    "}\n"
    "complete -F _isara isara\n";

static const char zsh_script[] =
    "#compdef isara\n"
    "# isara --completion zsh\n"
    "_isara() {\n"
    "  local -a lines found\n"
    "  local line name\n"
    "  lines=(\"${(@f)$(\"$words[1]\" --complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "  for line in \"${(@)lines[2,-1]}\"; do\n"
    "    name=${${line%%$'\\t'*}//:/\\\\:}\n"
    "    [[ $line == *$'\\t'* ]] && found+=(\"$name:${line#*$'\\t'}\") || found+=(\"$name\")\n"
    "  done\n"
    "  (( $#found )) && _describe -V 'isara' found\n"
    "  case $lines[1] in\n"
    "    files) compset -P '--[^=]#='; _files ;;\n"
    "    directories) compset -P '--[^=]#='; _files -/ ;;\n"
    "  esac\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _isara ]; then _isara \"$@\"; else compdef _isara isara; fi\n";

static const char fish_script[] =
    "# isara --completion fish\n"
    "function __isara_complete\n"
    "    set -l word (commandline -ct)\n"
    "    set -l words (commandline -opc)\n"
    "    set -l lines ($words[1] --complete $words[2..] \"$word\" 2>/dev/null)\n"
    "    set -l lead (string match -r -- '^--[^=]*=' $word)\n"
    "    set -l rest (string replace -r -- '^--[^=]*=' '' $word)\n"
    "    string join \\n -- $lines[2..]\n"
    "    switch \"$lines[1]\"\n"
    "        case files\n"
    "            for path in (__fish_complete_path \"$rest\")\n"
    "                echo \"$lead$path\"\n"
    "            end\n"
    "        case directories\n"
    "            for path in (__fish_complete_directories \"$rest\")\n"
    "                echo \"$lead$path\"\n"
    "            end\n"
    "    end\n"
    "end\n"
    "complete -c isara -f -a '(__isara_complete)'\n";
/* clang-format on */

int complete_script(const char *shell)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    for (int i = 0; i < 3; i++)
        if (shell && !strcmp(shell, scripts[i].shell)) {
            fputs(scripts[i].script, stdout);
            return 0;
        }
    fprintf(stderr, "isara --completion: wanted bash, zsh or fish after it\n");
    return 2;
}
