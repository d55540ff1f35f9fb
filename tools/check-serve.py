#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""isara serve as its clients see it: the openai client, lm-evaluation-harness (local-completions, local-chat-completions),
and requests as Open WebUI and promptfoo send them, over a real model in f32.

usage: tools/check-serve.py --isara build/isara --model DIR [--parts requests,openai,harness,eval,chat]
       DIR: a Hugging Face directory with a chat template

Likelihoods of lm-evaluation-harness are compared with its own hf backend (transformers), with isara score and, on its
truthfulqa_mc1 and truthfulqa_mc2 over questions of this file, with isara eval, to 1e-4; greedy texts with the first two. Needs lm-eval[api]==0.4.13, openai, transformers and torch (`make check-peers`); nothing is
downloaded.
"""
import argparse
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile
import urllib.request

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1", OPENAI_API_KEY="k3y",
                  TOKENIZERS_PARALLELISM="false", HF_DATASETS_DISABLE_PROGRESS_BARS="1")

QUESTIONS = [
    ("What do bees make?", ["honey", "milk", "paper"], 0), ("Which is the largest ocean?", ["Arctic", "Pacific"], 1),
    ("Water boils at sea level at", ["50 degrees Celsius", "100 degrees Celsius", "200 degrees Celsius"], 1),
    ("The capital of France is", ["Paris", "Lyon", "Rome", "a river in Asia"], 0),
    ("A spider has", ["six legs", "eight legs", "ten legs"], 1),
    ("Röntgen discovered", ["X-rays", "penicillin"], 0), ("Un chat est", ["un animal", "une ville"], 0),
]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
{rest}
metadata: {{version: 1}}
"""
REST = {"multiple_choice": 'doc_to_choice: choices\ndoc_to_target: gold\nmetric_list: [{metric: acc}]',
        "generate_until": 'doc_to_target: "{{choices[gold]}}"\ngeneration_kwargs: {until: ["\\n", "Question:"], '
                          'max_gen_toks: 12, do_sample: false}\nmetric_list: [{metric: exact_match}]',
        "loglikelihood_rolling": 'doc_to_target: "Question: {{question}} Answer: {{choices[gold]}}. And so it goes on."\n'
                                 'metric_list: [{metric: word_perplexity}]'}
rows = []


def said(name, good, what):
    rows.append(good)
    print(f"{'ok  ' if good else 'FAIL'}  {name}: {what}", flush=True)


class Server:
    def __init__(self, isara, model):
        self.process = subprocess.Popen([isara, "serve", "--model", model, "--served-model-name", "smol", "--dtype", "f32",
                                         "--port", "0", "--api-key", "k3y", "--log-level", "warning"],
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def call(self, path, body=None, root=False):
        url = (self.url[:-3] if root else self.url) + path
        request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None,
                                         {"Authorization": "Bearer k3y", "Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def end(self):
        self.process.terminate()
        return self.process.wait(60)


def tasks_dir(tmp):
    data = os.path.join(tmp, "data.jsonl")
    with open(data, "w", encoding="utf-8") as f:
        for question, choices, gold in QUESTIONS:
            f.write(json.dumps({"question": question, "choices": choices, "gold": gold}) + "\n")
    for kind, rest in REST.items():
        with open(os.path.join(tmp, kind + ".yaml"), "w", encoding="utf-8") as f:
            f.write(TASK.format(name="isara_" + kind, data=data, kind=kind, rest=rest))
    return tmp


def evaluate(model, args, kinds, tmp, **more):
    import lm_eval
    from lm_eval.tasks import TaskManager
    result = lm_eval.simple_evaluate(model=model, model_args=args, tasks=["isara_" + k for k in kinds], log_samples=True,
                                     task_manager=TaskManager(include_path=tmp, include_defaults=False), batch_size=4,
                                     bootstrap_iters=0, **more)
    out = {}
    for kind in kinds:
        for sample in result["samples"]["isara_" + kind]:
            for i, response in enumerate(sample["resps"]):
                out[kind, sample["doc_id"], i] = (response[0], sample["arguments"])
    return out


def argument(arguments, i):
    one = arguments[f"gen_args_{i}"] if isinstance(arguments, dict) else arguments[i]
    return (one["arg_0"], one["arg_1"]) if isinstance(one, dict) else one


def isara(command, verb, model, records, tmp):
    path, out = os.path.join(tmp, verb + ".in.jsonl"), os.path.join(tmp, verb + ".out.jsonl")
    if os.path.exists(out):
        os.remove(out)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in records)
    subprocess.run([command, verb, "--model", model, "--dtype", "f32", "--input", path, "--output", out, "--log-level",
                    "quiet"], check=True)
    with open(out, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def check_harness(server, args, tmp):
    kinds = ["multiple_choice", "generate_until", "loglikelihood_rolling"]
    local = {"model": "smol", "base_url": server.url + "/completions", "num_concurrent": 4, "max_length": 2048}
    ways = {"tokens": dict(local, tokenizer=args.model, tokenizer_backend="huggingface"),
            "texts": dict(local, tokenizer=args.model, tokenizer_backend="huggingface", tokenized_requests=False),
            "remote tokenizer": dict(local, tokenizer_backend="remote", auth_token="k3y")}
    hf = evaluate("hf", {"pretrained": args.model, "dtype": "float32", "device": "cpu", "max_length": 2048}, kinds, tmp)
    for way, model_args in ways.items():
        try:
            mine = evaluate("local-completions", model_args, kinds, tmp)
        except Exception as problem:
            said(f"lm-eval local-completions, {way}", False, repr(problem)[:200])
            continue
        numbers = [k for k in hf if k[0] == "multiple_choice"]
        rolling = [k for k in hf if k[0] == "loglikelihood_rolling"]
        worst = max(abs(mine[k][0][0] - hf[k][0][0]) for k in numbers)
        greedy = sum(bool(mine[k][0][1]) == bool(hf[k][0][1]) for k in numbers)
        roll = max(abs(float(mine[k][0][0] if isinstance(mine[k][0], (list, tuple)) else mine[k][0]) -
                       float(hf[k][0][0] if isinstance(hf[k][0], (list, tuple)) else hf[k][0])) for k in rolling)
        texts = [k for k in hf if k[0] == "generate_until"]
        same = sum(mine[k][0] == hf[k][0] for k in texts)
        said(f"lm-eval local-completions, {way}", worst < 1e-4 and roll < 1e-3 and greedy == len(numbers) and
             same == len(texts), f"{len(numbers)} likelihoods, at most {worst:.1e} from hf; rolling at most {roll:.1e}; "
             f"{greedy} of {len(numbers)} alike in being greedy; {same} of {len(texts)} texts the same")
    keys = [k for k in hf if k[0] == "multiple_choice"]
    pairs = [argument(hf[k][1], k[2]) for k in keys]
    scored = isara(args.isara, "score", args.model, [{"prompt": p, "completion": c} for p, c in pairs], tmp)
    worst = max(abs(s["sum_logprob"] - mine[k][0][0]) for s, k in zip(scored, keys))
    said("isara score", worst < 1e-4, f"at most {worst:.1e} from what lm-eval has over the server")
    keys = [k for k in hf if k[0] == "generate_until"]
    made = isara(args.isara, "generate", args.model,
                 [{"prompt": argument(hf[k][1], 0)[0], "max_new_tokens": 12, "stop": ["\n", "Question:"]} for k in keys], tmp)
    same = sum(m["text"] == mine[k][0] for m, k in zip(made, keys))
    said("isara generate", same == len(keys), f"{same} of {len(keys)} texts are the server's")


def truthfulqa_files(tmp):
    """The same questions as the harness's multiple choice and as isara eval read TruthfulQA: the best answer first; of
    the true ones there is a second for every other question, worded by the first."""
    rows, own = [], []
    for i, (question, choices, gold) in enumerate(QUESTIONS):
        best, false = choices[gold] + ".", [c + "." for c in choices if c != choices[gold]]
        true = [best] + ([f"It is {best}"] if i % 2 else [])
        rows.append({"question": question, "mc1_targets": {"choices": [best] + false, "labels": [1] + [0] * len(false)},
                     "mc2_targets": {"choices": true + false, "labels": [1] * len(true) + [0] * len(false)}})
        own.append({"question": question, "best_answer": best, "correct_answers": true, "incorrect_answers": false})
    paths = []
    for name, data in (("mc.jsonl", rows), ("truthfulqa.jsonl", own)):
        paths.append(os.path.join(tmp, name))
        with open(paths[-1], "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r) + "\n" for r in data)
    return paths


def check_eval(server, args, tmp):
    import lm_eval
    from lm_eval.tasks import TaskManager
    data, own = truthfulqa_files(tmp)
    folder = os.path.join(os.path.dirname(lm_eval.__file__), "tasks", "truthfulqa")
    names = ["isara_mc1", "isara_mc2"]
    for name in names:
        with open(os.path.join(tmp, name + ".yaml"), "w", encoding="utf-8") as f:
            f.write(f"include: {folder}/truthfulqa_{name[6:]}.yaml\ntask: {name}\ndataset_path: json\ndataset_name: null\n"
                    f"dataset_kwargs: {{data_files: {{validation: {data}}}}}\n")
    result = lm_eval.simple_evaluate(
        model="local-completions", tasks=names, log_samples=True, bootstrap_iters=0, batch_size=4,
        task_manager=TaskManager(include_path=tmp, include_defaults=False),
        model_args={"model": "smol", "base_url": server.url + "/completions", "num_concurrent": 4, "max_length": 2048,
                    "tokenizer_backend": "remote", "auth_token": "k3y"})
    out = os.path.join(tmp, "eval")
    done = subprocess.run([args.isara, "eval", "--task", "truthfulqa", "--metrics", "mc", "--model", args.model, "--dtype",
                           "f32", "--test", own, "--prompt-style", "primer", "--primer",
                           os.path.join(folder, "truthfulqa_gen.yaml"), "--output", out, "--json", "--log-level", "quiet"],
                          check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(done.stdout)
    with open(os.path.join(out, "journal.jsonl"), encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    choices = {r["index"]: r["row"] for r in lines if r.get("stage") == "choice"}
    worst, n = 0.0, 0
    for name in names:
        for sample in result["samples"][name]:
            mine, n_true = choices[sample["doc_id"]]["logprobs"], choices[sample["doc_id"]]["n_true"]
            wanted = mine[1:] if name == "isara_mc2" else mine[:1] + mine[1 + n_true:]
            found = [r[0][0] for r in sample["resps"]]
            n += len(found)
            worst = max([worst] + [abs(a - b) for a, b in zip(found, wanted)] + [len(found) != len(wanted)])
    values = [(report[name[6:]], result["results"][name]["acc,none"]) for name in names]
    said("isara eval", worst < 1e-4 and all(abs(a - b) < 1e-4 for a, b in values),
         f"{n} likelihoods of truthfulqa_mc1 and _mc2, at most {worst:.1e} from what lm-eval has over the server; mc1 "
         f"{values[0][0]:.4f} and {values[0][1]:.4f}, mc2 {values[1][0]:.6f} and {values[1][1]:.6f}")


def check_harness_chat(server, args, tmp):
    chat = evaluate("local-chat-completions", {"model": "smol", "base_url": server.url + "/chat/completions",
                                               "num_concurrent": 4}, ["generate_until"], tmp, apply_chat_template=True)
    own = evaluate("hf", {"pretrained": args.model, "dtype": "float32", "device": "cpu"}, ["generate_until"], tmp,
                   apply_chat_template=True)
    same = sum(chat[k][0].strip() == own[k][0].strip() for k in own)
    said("lm-eval local-chat-completions", same == len(own), f"{same} of {len(own)} texts are hf's")


def check_openai(server):
    import openai
    client = openai.OpenAI(base_url=server.url, api_key="k3y", max_retries=0)
    hello = [{"role": "user", "content": "Say hello."}]
    said("openai models.list", [m.id for m in client.models.list()] == ["smol"], "smol")
    whole = client.chat.completions.create(model="smol", messages=hello, max_tokens=24, temperature=0, logprobs=True,
                                           top_logprobs=3)
    text = whole.choices[0].message.content
    entries = whole.choices[0].logprobs.content
    said("openai chat.completions", whole.choices[0].message.role == "assistant" and
         len(entries) == whole.usage.completion_tokens and all(len(e.top_logprobs) == 3 for e in entries) and
         all(e.logprob == e.top_logprobs[0].logprob for e in entries), repr(text)[:60])
    chunks = list(client.chat.completions.create(model="smol", messages=hello, max_tokens=24, temperature=0, stream=True,
                                                 stream_options={"include_usage": True}))
    joined = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    said("openai chat stream", joined == text and chunks[-1].usage.total_tokens == whole.usage.total_tokens and
         not chunks[-1].choices and chunks[0].choices[0].delta.role == "assistant", f"{len(chunks)} chunks, the same text")
    done = client.completions.create(model="smol", prompt=["One two", "A B"], max_tokens=6, logprobs=2, echo=True)
    said("openai completions", len(done.choices) == 2 and done.choices[0].text.startswith("One two") and
         done.choices[0].logprobs.token_logprobs[0] is None, repr(done.choices[0].text)[:60])
    packed = client.embeddings.create(model="smol", input=["a", "b"]).data[0].embedding
    plain = client.embeddings.create(model="smol", input=["a", "b"], encoding_format="float").data[0].embedding
    said("openai embeddings", len(packed) == len(plain) and max(abs(a - b) for a, b in zip(packed, plain)) < 1e-7,
         f"base64 and float, {len(plain)} numbers")
    for name, problem, call in [
            ("wrong key", openai.AuthenticationError,
             lambda: openai.OpenAI(base_url=server.url, api_key="no", max_retries=0).models.list()),
            ("no such model", openai.NotFoundError, lambda: client.completions.create(model="gpt-5", prompt="x")),
            ("too long", openai.BadRequestError,
             lambda: client.completions.create(model="smol", prompt="x", max_tokens=1 << 19))]:
        try:
            call()
            said("openai " + name, False, "no error")
        except problem as e:
            said("openai " + name, bool(e.body and e.body.get("message")), type(e).__name__)


# Requests of the kind that these clients send, written by hand: fields beside OpenAI's, content in parts, a stream that
# ends with the counts, titles as requests of their own.
def check_requests(server):
    models = json.loads(server.call("/models"))
    said("Open WebUI GET /models", models["data"][0]["id"] == "smol", "smol")
    body = {"stream": True, "model": "smol", "messages": [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is ice?"}]}],
        "stream_options": {"include_usage": True}, "max_tokens": 16, "params": {}, "tool_servers": [], "features": {},
        "variables": {"{{USER_NAME}}": "me"}, "session_id": "x", "chat_id": "y", "id": "z", "background_tasks": {}}
    events = [e for e in server.call("/chat/completions", body).split("\n\n") if e]
    last = json.loads(events[-2][6:])
    said("Open WebUI chat", events[-1] == "data: [DONE]" and last["choices"] == [] and last["usage"]["completion_tokens"] > 0,
         f"{len(events)} events")
    title = {"model": "smol", "messages": [{"role": "user", "content": "### Task: Generate a title"}], "stream": False,
             "max_completion_tokens": 20, "metadata": {"task": "title_generation"}}
    answer = json.loads(server.call("/chat/completions", title))
    said("Open WebUI title", answer["choices"][0]["message"]["role"] == "assistant", "an answer")
    promptfoo = {"model": "smol", "messages": [{"role": "user", "content": "Two and two?"}], "max_tokens": 16,
                 "temperature": 0, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "seed": 1}
    answer = json.loads(server.call("/chat/completions", promptfoo))
    said("promptfoo chat", isinstance(answer["choices"][0]["message"]["content"], str) and answer["usage"]["total_tokens"] > 0,
         repr(answer["choices"][0]["message"]["content"])[:40])
    vector = json.loads(server.call("/embeddings", {"input": "a", "model": "smol", "encoding_format": "base64"}))
    raw = base64.b64decode(vector["data"][0]["embedding"])
    said("embeddings by hand", abs(sum(x * x for x in struct.unpack(f"<{len(raw) // 4}f", raw)) - 1) < 1e-4, "of length 1")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--isara", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--parts", default="requests,openai,harness,eval,chat")
    args = parser.parse_args()
    parts = args.parts.split(",")
    server = Server(args.isara, args.model)
    with tempfile.TemporaryDirectory() as tmp:
        tasks_dir(tmp)
        if "requests" in parts:
            check_requests(server)
        if "openai" in parts:
            check_openai(server)
        if "harness" in parts:
            check_harness(server, args, tmp)
        if "eval" in parts:
            check_eval(server, args, tmp)
        if "chat" in parts:
            check_harness_chat(server, args, tmp)
    said("SIGTERM", server.end() == 0, "exit code 0")
    print(f"{sum(rows)} of {len(rows)} as wanted")
    return 0 if all(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
