# SPDX-License-Identifier: Apache-2.0
"""The method's rules written a second time, from docs/METHOD.md, docs/NUMERICS.md and docs/FORMATS.md alone: random draws, retrieval, the sift."""
import functools
import math
import unicodedata

MASK = 0xFFFFFFFF
STREAM_EVALUATE, STREAM_CONTEXTS = 3, 4


# --- random numbers (docs/NUMERICS.md, "Random draws") ---
def philox(key, counter):
    """Philox4x32-10 of Salmon et al. 2011, table 2 and figure 3."""
    k0, k1 = key
    a, b, c, d = counter
    for _ in range(10):
        low, high = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (high >> 32) ^ b ^ k0, high & MASK, (low >> 32) ^ d ^ k1, low & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return a, b, c, d


class Stream:
    def __init__(self, seed, a, b):
        folded = philox((seed & MASK, seed >> 32), (a & MASK, a >> 32, b & MASK, b >> 32))
        self.key, self.tail = folded[:2], folded[2:]

    def below(self, index, n):
        return philox(self.key, (index & MASK, index >> 32) + self.tail)[0] * n >> 32


def draw(stream, n, k):
    """min(k, n) of n without replacement: Floyd's algorithm, then a shuffle."""
    k = min(k, n)
    drawn = []
    for i, top in enumerate(range(n - k, n)):
        pick = stream.below(i, top + 1)
        drawn.append(top if pick in drawn else pick)
    for i in range(k, 1, -1):
        j = stream.below(k + i, i)
        drawn[i - 1], drawn[j] = drawn[j], drawn[i - 1]
    return drawn


def held_out(seed, n, count):
    return sorted(draw(Stream(seed, STREAM_CONTEXTS, 2**64 - 1), n, count))


def random_contexts(seed, round_, attempt, n, k):
    return draw(Stream(seed, 8 * round_ + STREAM_CONTEXTS, attempt), n, k)


def random_contexts_of_test(seed, index, n, k):
    return draw(Stream(seed, STREAM_EVALUATE, index), n, k)


# --- retrieval ---
@functools.lru_cache(maxsize=None)
def words_of_search(text):
    """Runs of letters, marks and digits in lower case; each character of a script without spaces is a word."""
    words, word = [], ""
    for c in text + " ":
        alone = 0x2E80 <= ord(c) <= 0x9FFF
        inside = unicodedata.category(c)[0] in "LMN"
        if word and (alone or not inside):
            words.append(word)
            word = ""
        if inside and alone:
            words.append(c)
        elif inside:
            word += c.lower() if len(c.lower()) == 1 else c
    return tuple(words)


def bm25(pool, query):
    """Robertson and Zaragoza's BM25 with k1 1.2, b 0.75 and Lucene's idf: a score for each text of the pool."""
    texts = [words_of_search(t) for t in pool]
    mean = sum(map(len, texts)) / len(texts)
    scores = [[] for _ in texts]
    for word in words_of_search(query):
        df = sum(word in t for t in texts)
        idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
        for i, t in enumerate(texts):
            tf = t.count(word)
            if tf:
                scores[i].append(idf * tf * 2.2 / (tf + 1.2 * (1 - 0.75 + 0.75 * len(t) / mean)))
    return [math.fsum(s) for s in scores]


def cosines(pool, query):
    def norm(x):
        return math.sqrt(math.fsum(v * v for v in x)) or 1.0
    return [math.fsum(a * b for a, b in zip(x, query)) / norm(x) / norm(query) for x in pool]


def nearest(scores, k):
    """Indices of the k best, best first, ties to the lower index."""
    return sorted(range(len(scores)), key=lambda i: (-round(scores[i], 9), i))[:k]


def anchored(scores_of, stream, n, k):
    """--ask-contexts anchor: one pair drawn stands last, before it the k - 1 nearest to it, the nearest next to it."""
    anchor = stream.below(0, n)
    return [i for i in reversed(nearest(scores_of(anchor), k)) if i != anchor][-(k - 1):] + [anchor] if k > 1 else [anchor]


# --- the sift ---
UNSPACED = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "THAI", "LAO", "MYANMAR", "KHMER")


@functools.lru_cache(maxsize=None)
def words_of_rouge(text):
    """Words of every script, case folded: runs of letters, marks and digits; a letter with its marks where no spaces stand between words. Of ASCII they are rouge_score's."""
    words, open_ = [], False  # open_: the last word may go on
    for c in text.casefold():
        kind = unicodedata.category(c)[0]
        alone = kind in "LN" and unicodedata.name(c, "").startswith(UNSPACED)
        if kind == "M" and open_ is not False:
            words[-1] += c
        elif kind in "LMN" and open_ is True and not alone:
            words[-1] += c
        elif kind in "LMN":
            words.append(c)
            open_ = None if alone else True  # None: for marks only
        else:
            open_ = False
    return tuple(words)


@functools.lru_cache(maxsize=None)
def rouge_l(a, b):
    """F1 of two texts over the textbook's table of the longest common subsequence."""
    x, y = words_of_rouge(a), words_of_rouge(b)
    if not x and not y:
        return 1.0 if a == b else 0.0
    row = [0] * (len(y) + 1)
    for word in x:
        above = row
        row = [0]
        for j, other in enumerate(y):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
    if not row[-1]:
        return 0.0
    precision, recall = row[-1] / len(y), row[-1] / len(x)
    return 2 * precision * recall / (precision + recall)


def count_words(text):
    spaced = "".join(f" {c} " if 0x3000 <= ord(c) <= 0x9FFF else c for c in text)
    return len(spaced.split())


def repetition(text):
    """The share of a text's word 4-grams that occurred before in it."""
    words = text.lower().split()
    grams = [tuple(words[i:i + 4]) for i in range(len(words) - 3)]
    return sum(g in grams[:i] for i, g in enumerate(grams)) / len(grams) if grams else 0.0


def one_text(kind, text, ended, parses, options):
    """The first rule that a text breaks, or None."""
    words = count_words(text or "")
    if not words:
        return f"{kind}_empty"
    if not parses:
        return f"{kind}_unparsed"
    if options["sift-need-end"] and not ended:
        return f"{kind}_unended"
    if words < options[f"{kind}-min-words"]:
        return f"{kind}_short"
    if words > options[f"{kind}-max-words"]:
        return f"{kind}_long"
    if repetition(text) > options["sift-repetition"]:
        return f"{kind}_repetitive"
    return None


def question_parses(template, text):
    return not any(cue and cue in text for cue in cues(template))


def answer_parses(template, text):
    lines = [line.lstrip() for line in text.split("\n")]
    return not any(cue and line.startswith(cue) for cue in cues(template) for line in lines)


def cues(template):
    """What begins the next pair: "Question:" and "Answer:" of the built-in template."""
    return (template["preamble"] + template["ask"]).split("\n")[-1], template["answer"].split("{q}")[1].lstrip()


# --- prompts ---
def write_examples(template, pairs):
    def fill(q, a):
        return template["pair"].replace("{q}", q.strip(), 1).replace("{a}", a.strip(), 1)
    return template["preamble"] + "".join(fill(q, a) + template["separator"] for q, a in pairs)


def prompt_that_asks(template, pairs):
    return write_examples(template, pairs) + template["ask"]


def prompt_that_answers(template, pairs, question):
    return write_examples(template, pairs) + template["answer"].replace("{q}", question.strip())


def completion(template, answer):
    return template["completion"].replace("{a}", answer.strip())


def read_answer(template, text):
    """What of a completion is the answer: all before the next pair, without the white space around it."""
    end = template["answer_end"]
    if end.startswith("\n") and text.lstrip().startswith(end[1:]):
        return ""
    return text.split(end)[0].strip()
