#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/chat/cases.json: what jinja2, set up as transformers sets it up (its own compile function, generation blocks included), makes of the
templates in tests/golden/chat/*.jinja over conversations, and of a list of single expressions and statements; and expressions.json from expressions.txt beside it
(a JSON string a line): what each writes, null where it is an error.
The templates are those of the models they are named after; guard-form and chatml-generation are of our own, in the form of Llama Guard's and with generation blocks.
smollm2.jinja is read from the model's GGUF file.
Made with jinja2 3.1.6, transformers 5.24.0."""
import datetime, glob, json, os, sys
import jinja2, transformers
from transformers.utils import chat_template_utils as ctu

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "../tests/golden/chat")
NOW = 1722000000  # 26 Jul 2024, UTC


class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)


ctu.datetime = Fixed  # strftime_now
compile_template = ctu._compile_jinja_template
compile_template = getattr(compile_template, "__wrapped__", compile_template)

tool = {"type": "function", "function": {"name": "get_weather", "description": "Wetter \u2014 <now> & \"later\"", "parameters": {"type": "object", "properties": {
    "city": {"type": "string", "enum": ["K\u00f6ln", "Paris"]}, "days": {"type": "integer", "default": 1.5}}, "required": ["city"]}}}
call = {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "K\u00f6ln", "days": 2, "strict": True, "none": None}}}
u, a, s = (lambda role: lambda text: {"role": role, "content": text})("user"), (lambda text: {"role": "assistant", "content": text}), (lambda text: {"role": "system", "content": text})
CONVERSATIONS = {
    "one": {"messages": [u("Hello!")], "add_generation_prompt": True},
    "answered": {"messages": [u(" Hi there \n"), a("  How are you?  ")]},
    "system": {"messages": [s("Be brief."), u("What is na\u00efve \u65e5\u672c?\n\n- a\n- b"), a("A word."), u("Thanks </s> <|im_end|> {{ 7 }}")], "add_generation_prompt": True},
    "long": {"messages": [u("1"), a("2"), u("3"), a("4"), u("5"), a("6")]},
    "think": {"messages": [u("q"), a("<think>\nhm\n</think>\n\nyes"), u("again"), a("<think>well</think>no")]},
    "tools": {"messages": [s("Be brief."), u("Weather?")], "tools": [tool, tool], "add_generation_prompt": True},
    "called": {"messages": [u("Weather?"), {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "12 \u00b0C", "tool_call_id": "abcdefghi"}, a("It is 12.")], "tools": [tool]},
    "none": {"messages": [u("Weather?"), {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "content": "x"}], "add_generation_prompt": True},
    "wrong order": {"messages": [a("first"), u("second")]},
    "no thinking": {"messages": [u("q")], "add_generation_prompt": True, "enable_thinking": False},
}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
VARIABLES = {"x": 7, "y": -3, "f": 2.5, "t": "  Hello, w\u00f6rld\tagain  ", "e": "", "l": [3, 1, 2, 1], "d": {"b": 1, "a": [1, {"k": "v'\""}], "items": 5}, "n": None, "yes": True,
             "rows": [{"role": "user", "n": 1, "deep": {"z": 2}}, {"role": "bot", "n": 2}, {"role": "user", "n": 0}], "many": "one two  three\nfour", **SPECIAL}
SNIPPETS = r"""
{{ x + y }} {{ x - y }} {{ x * y }} {{ x / 2 }} {{ x // y }} {{ x % y }} {{ -x // 2 }} {{ 2 ** 10 }} {{ -y }} {{ +x }} {{ f * 2 }} {{ 7 // 2.0 }} {{ -7 % 3.5 }}
{{ 1 + 2 * 3 ~ 4 }}
{{ 1 * 3 ~ 4 }} {{ (1 + 2) * 3 }} {{ 10 - 2 - 3 }} {{ 2 * 3 % 4 }} {{ 'a' ~ 1 ~ none ~ true }} {{ "a" 'b' }} {{ 'ab' * 3 }} {{ 1.0 }} {{ 1e3 }} {{ 1_000 }}
{{ x > y and x < 10 }} {{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ not x == 7 }} {{ x != 7 or y }} {{ n or 'z' }} {{ e and 1 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ true == 1 }}
{{ 'or' in t }} {{ 3 in l }} {{ 'a' in d }} {{ 9 not in l }} {{ not 'x' in e }} {{ 'q' in missing }} {{ missing == missing2 }} {{ '' == missing }}
{{ x if yes else 1 }} {{ 'a' if e }}| {{ 1 if 0 else 2 if 0 else 3 }}
{{ l }} {{ d }} {{ [1, 'a"b', "c'd", none, true, 1.5] }} {{ (1, 2) }} {{ (1,) }} {{ {'k': [1]} }} {{ n }} {{ missing }}|{{ [missing] }}
{{ l[0] }} {{ l[-1] }} {{ l[9] }}| {{ t[2] }} {{ t[-3:] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ t[::2] }} {{ t[-1:2:-3] }} {{ l[5:1] }} {{ 'héllo'[1] }} {{ l[::9] }} {{ l[3:0:-1] }} {{ l[-9:9] }}
{{ d.b }} {{ d['b'] }} {{ d.a[1].k }} {{ d['items'] }} {{ d.zz }}| {{ d.get('zz') }} {{ d.get('zz', 4) }} {{ rows.0.role }} {{ d.items()|list }} {{ d.keys()|list }} {{ d.values()|list }}
{{ t.strip() }}|{{ t.lstrip() }}|{{ t.rstrip() }}|{{ 'xxaxx'.strip('x') }} {{ many.split() }} {{ many.split(' ') }} {{ many.split(None, 1) }} {{ 'a,b,c'.split(',', 1) }} {{ ''.split() }} {{ ''.split(',') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'aXbX'.replace('X', '--') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab cd'.title() }} {{ 'ß é'.upper() }} {{ 'ÀB'.lower() }} {{ 'heLLo wO'.capitalize() }} {{ 'abc'.find('c') }} {{ '-'.join(['a', 'b']) }} {{ "they're bill's".title() }} {{ '12'.isdigit() }} {{ 'a\nb\r\nc'.splitlines() }}
{{ t|trim }}|{{ 'xx'|trim('x') }}|{{ t|length }} {{ l|count }} {{ 'a'|upper }} {{ 'aB'|lower }} {{ 'ab'|capitalize }} {{ 'ab cd'|title }} {{ 'aba'|replace('a', 'x') }} {{ l|join(', ') }} {{ rows|join('/', attribute='role') }} {{ l|join }}
{{ missing|default('d') }} {{ e|default('d') }}|{{ e|default('d', true) }} {{ n|d(1) }} {{ missing|default }}| {{ l|first }} {{ l|last }} {{ []|first }}| {{ 'abc'|list }} {{ l|reverse|list }} {{ 'abc'|reverse }} {{ l|sort }} {{ l|sort(reverse=true) }} {{ l|unique|list }} {{ d|dictsort }}
{{ rows|map(attribute='n')|list }} {{ ['a', 'b']|map('upper')|join }} {{ rows|map(attribute='zz', default=0)|list }} {{ rows|selectattr('role', 'equalto', 'user')|map(attribute='n')|list }} {{ rows|rejectattr('n')|list|length }} {{ rows|selectattr('deep', 'defined')|list|length }} {{ l|select('gt', 1)|list }} {{ l|reject('odd')|list }} {{ [0, 1]|select|list }} {{ rows[:1]|map(attribute='deep.z')|first }}
{{ d|tojson }} {{ t|tojson }} {{ '</a>&\'é\x01'|tojson }} {{ [1.5, true, none, 1e20]|tojson }} {{ d|tojson(indent=2) }} {{ []|tojson(indent=4) }} {{ d|tojson(separators=(',', ':')) }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ {}|tojson }}
{{ 3.7|int }} {{ '4'|int }} {{ 'x'|int(9) }} {{ '2.5'|float }} {{ y|abs }} {{ 5|string + 'a' }} {{ 'a\nb\n\nc'|indent }} {{ 'a\nb'|indent(2, true) }} {{ '<b>'|safe }} {{ d|items|list }} {{ 1|float }}
{{ x is defined }} {{ missing is defined }} {{ missing is undefined }} {{ n is none }} {{ t is string }} {{ d is mapping }} {{ l is iterable }} {{ t is sequence }} {{ x is number }} {{ yes is boolean }} {{ x is odd }} {{ x is even }} {{ x is divisibleby 7 }} {{ x is equalto 7 }} {{ x is eq(8) }} {{ 1 is in [1] }} {{ x is not none }} {{ not x is defined }} {{ yes is true }} {{ x is integer }} {{ f is float }} {{ 'A' is upper }} {{ x is gt 3 }} {{ d is not string and true }} {{ x is sameas 7 }}
{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }} {{ i }},{% endfor %}
{% for i in [] %}x{% else %}empty{% endfor %} {% for i in missing %}x{% else %}none{% endfor %} {% for k in d %}{{ k }}{% endfor %} {% for c in 'héy' %}{{ c }}.{% endfor %} {% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for i in range(10) if i % 2 %}{% if i > 6 %}{% break %}{% endif %}{% if i == 3 %}{% continue %}{% endif %}{{ i }}/{{ loop.index }} {% endfor %} {{ range(3)|list }} {{ range(5, 0, -2)|list }} {% for a in [1, 2] %}{% for b in [3, 4] %}{{ a }}{{ b }}{{ loop.index }} {% endfor %}{{ loop.index }}{% endfor %}
{% for i in l %}{% if loop.previtem is defined %}{{ loop.previtem }}{% endif %}<{{ i }}>{% if loop.nextitem is defined %}{{ loop.nextitem }}{% endif %}{% endfor %}
{% set a = 1 %}{% for i in [1, 2] %}{{ a }}{% set a = a + i %}{{ a }}{% endfor %}{{ a }} {% set ns = namespace(v=1) %}{% for i in l %}{% set ns.v = ns.v + i %}{% endfor %}{{ ns.v }} {% if true %}{% set q = 5 %}{% endif %}{{ q }} {% set p, r = 1, [2] %}{{ p }}{{ r }} {% set w = 1, 2 %}{{ w }}
{% set b %}<{{ x }}>{% endset %}{{ b|upper }} {% macro m(a, b=2, c='z') %}[{{ a }}{{ b }}{{ c }}{{ x }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=5, a=4) }}{{ m() }} {% macro rec(n) %}{{ n }}{% if n > 0 %}{{ rec(n - 1) }}{% endif %}{% endmacro %}{{ rec(3) }} {% set late = 9 %}{% macro g() %}{{ late }}{% endmacro %}{{ g() }}
  {% if x %}  a{% endif %}  b  {%- if y -%}  c  {%- endif -%}  d  {#- note -#}  e {{- x -}}  f
{% raw %}{{ not this }} {% if %}{% endraw %} {# gone #} {{ '{{' }} {{ "}}" }} {{ '%}' }} {{ {'a': {'b': 1}}['a']['b'] }}
{%- if x == 7 %}seven{% elif x == 8 %}eight{% else %}other{% endif %} {% if not yes %}a{% elif y %}b{% endif %} {%+ if x %}plus{% endif +%}
{% if x %}  {# a #}  {% endif %} {{ dict(a=1, b='c') }} {{ '\u00e9\x41\t|\\n' }} {{ 'it''s' }} {{ "a\"b" }} {{ 'a' 'b'|upper }} {{ l|length > 3 }} {{ -x|abs }} {{ (-x)|abs }} {{ not l|length }} {{ (x, y)[0] }}
{{ missing.a is defined }}
{{ missing.a }}
{{ missing + 1 }}
{{ n + 1 }}
{{ l|tojson|length }} {{ raise_exception('no: ' ~ x) }}
{{ d.items.b is defined }} {{ 1 / 0 }}
{{ 'a' < 1 }}
{{ l[1:2] + [5] }} {{ x ~ y ~ [] }} {{ strftime_now('%Y-%m-%d %d %b %B') }} {{ loop is defined }}
{% generation %}gen {{ x }}{% endgeneration %} out {% for i in [1, 2] %}{% generation %}{{ i }}{% endgeneration %},{% endfor %}
""".strip("\n").split("\n")
# several lines: what happens to line feeds and blanks around tags
LINES = ["{% if x %}\n  a\n{% endif %}\n  b\n", "  {% for i in l %}  \n  {{ i }}\n  {% endfor %}\n\nend\n\n", "{# c #}\n  {# c #}  \nx\n", "a\n   {%- if x %}\n b\n {%- endif %}\n c", "a\r\n{% if x %}\r\nb\r\n{% endif %}\r\n",
         "\n\n{{ x }}\n\n", "{{ x -}}\n\n  a\n  {{- x }}", "\t{% set q = 1 %}\n\t{{ q }}\n", "x {% if x %}\ny{% endif %}", "  {%+ if x %}a{% endif %}\n", "{% if x +%}\na{% endif %}", "{% raw %}\n a {% endraw %}\nb", "a\n  {% raw %} b {% endraw %}",
         "{% for m in rows %}\n    {%- if m.role == 'user' %}\n        {{- 'U' + m.role }}\n    {%- endif %}\n{%- endfor %}\n"]


def render(template, variables):
    try:
        t = compile_template(template)
        generation = []
        if "generation" in template:
            env = t.environment
            tracker = next(iter(x for x in env.extensions.values() if hasattr(x, "activate_tracker")))
            blocks = []
            with tracker.activate_tracker(blocks, generation):
                for b in t.generate(**variables):
                    blocks.append(b)
                out = "".join(blocks)
            return {"text": out, "spans": [list(g) for g in generation]}
        return {"text": t.render(**variables)}
    except Exception as e:
        return {"error": type(e).__name__ + ": " + str(e)[:120]}


cases = []
for path in sorted(glob.glob(os.path.join(folder, "*.jinja"))):
    template = open(path, newline="").read()
    for name, c in CONVERSATIONS.items():
        variables = {**SPECIAL, "tools": None, "add_generation_prompt": False, **c} if "tools" in c else {**SPECIAL, "add_generation_prompt": False, **c}
        cases.append({"template": os.path.basename(path), "name": name, "variables": c, **render(template, variables)})
snippets = [{"source": x, **render(x, VARIABLES)} for x in SNIPPETS + LINES]
json.dump({"jinja2": jinja2.__version__, "transformers": transformers.__version__, "now": NOW, "special": SPECIAL, "cases": cases, "variables": VARIABLES, "snippets": snippets},
          open(os.path.join(folder, "cases.json"), "w"), ensure_ascii=False, indent=0)
print(len(cases), "cases,", sum("error" in c for c in cases), "of them errors;", len(snippets), "snippets,", sum("error" in x for x in snippets), "errors")
for x in snippets:
    if "error" in x:
        print("  ", x["source"][:80], "->", x["error"])

MORE = {**VARIABLES, "ws": ["b", "A", "a", "B", "c"], "m": "<b>&'\"", "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
        "rows": [{"role": "user", "n": 1, "deep": {"z": 2}}, {"role": "bot", "n": 2}, {"role": "User", "n": 0}]}
lines = [json.loads(x) for x in open(os.path.join(folder, "expressions.txt"))]
with open(os.path.join(folder, "expressions.json"), "w") as out:
    out.write(json.dumps({"jinja2": jinja2.__version__, "transformers": transformers.__version__, "now": NOW, "variables": MORE})[:-1] + ',\n"rows": [\n')
    out.write(",\n".join(json.dumps([x, render(x, MORE).get("text")]) for x in lines) + "\n]}\n")
print(len(lines), "expressions")
