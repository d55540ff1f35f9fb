# SPDX-License-Identifier: Apache-2.0
"""isara: aligns an open language model to a domain from fewer than 100 question-answer pairs; generates, scores, embeds, trains, evaluates.

    import isara
    run = isara.align("models/miniature", "seeds.jsonl", "runs/first", rounds=2, attempts=64, progress=print)
    with isara.Model("runs/first/round-2/model") as model:
        print(model.generate("How do I store apples?", max_new_tokens=64)[0]["text"])

Options are those that `isara VERB --help` prints, with `_`; errors are isara.Error with the program's one line. progress is called with a dict (stage,
unit, done, total, tokens, note), log with a level and a line. One call works at a time in a process; Ctrl-C ends it at its next safe point, and align,
train, eval and experiment go on from there when they are called again. `python -m isara` is the command line."""
from __future__ import annotations

import ctypes as c
import json
import os
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

from . import _library as _l
from ._library import Error, lib as _lib

__all__ = ["Error", "Model", "align", "embed", "eval", "experiment", "generate", "results", "score", "train"]
__version__: str = _lib.isara_version().decode()

Path = Union[str, "os.PathLike[str]"]
Progress = Optional[Callable[[Dict[str, Any]], Any]]
Log = Optional[Callable[[str, str], Any]]
Prompt = Union[str, Sequence[int], Sequence[Dict[str, Any]]]  # a text, token ids, or messages for the model's chat template


class Model:
    """A model with its tokenizer, held until close() or the end of a with block. path: a Hugging Face directory, a .gguf file, or org/name in the cache.
    Options: dtype (f32, bf16, q8), threads, isa, adapter, kv_memory, ...; for train: task (sft, classify, reward)."""

    def __init__(self, path: Path, **options: Any):
        self._model = c.c_void_p()
        _l.Call().run(_lib.isara_open, c.byref(self._model), _l.encoded(path), _l.options_json(options))

    def close(self) -> None:
        model, self._model = self._model, c.c_void_p()
        _lib.isara_close(model)

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self.close()

    def _open(self) -> c.c_void_p:
        if not self._model:
            raise ValueError("the model is closed")
        return self._model

    def inspect(self) -> Dict[str, Any]:
        """Family, layers, width, vocabulary, context, parameters, sha256, tokenizer, ..."""
        out = c.c_void_p()
        _l.Call().run(_lib.isara_inspect, self._open(), c.byref(out))
        found: Dict[str, Any] = json.loads(_l.taken(out.value) or "{}")
        return found

    def tokenize(self, text: str, special: bool = False) -> List[int]:
        ids, data = _l.Ids(), text.encode()
        _l.Call().run(_lib.isara_tokenize, self._open(), data, len(data), int(special), c.byref(ids))
        found: List[int] = ids.ids[: ids.n]
        _lib.isara_free(c.cast(ids.ids, c.c_void_p))
        return found

    def detokenize(self, ids: Sequence[int], skip_special: bool = True) -> str:
        out, n, given = c.c_void_p(), c.c_size_t(), (c.c_int32 * len(ids))(*ids)
        _l.Call().run(_lib.isara_detokenize, self._open(), c.byref(_l.Ids(given, len(ids))), int(skip_special), c.byref(out), c.byref(n))
        return _l.taken(out.value) or ""

    def chat(self, messages: Sequence[Dict[str, Any]]) -> str:
        """The conversation as the model's chat template writes it."""
        out = c.c_void_p()
        _l.Call().run(_lib.isara_chat, self._open(), json.dumps({"messages": list(messages)}).encode(), c.byref(out))
        return _l.taken(out.value) or ""

    def _request(self, prompt: Prompt, options: bytes, seed: int, key: int) -> _l.Request:
        request = _l.Request(options=options, seed=seed, key=key)
        if isinstance(prompt, str):
            request.prompt = prompt.encode()
        elif len(prompt) and isinstance(prompt[0], dict):
            request.prompt, request.is_chat = self.chat(prompt).encode(), 1  # type: ignore[arg-type]
        else:
            request.ids, request.n_id = (c.c_int32 * len(prompt))(*prompt), len(prompt)  # type: ignore[misc]
        return request

    def generate(self, prompts: Union[Prompt, Sequence[Prompt]], *, on_token: Optional[Callable[[Dict[str, Any]], Any]] = None, seed: int = 0,
                 progress: Progress = None, log: Log = None, **options: Any) -> List[Dict[str, Any]]:
        """One dict for each prompt, in order: text, token_ids, token_logprobs, finish_reason, sum_logprob, score, and sequences (best first) where more
        than one is asked for; or error and code (raised when none could run). on_token is called with prompt (its index), sequence, position, id, logprob and text as tokens are chosen."""
        several = not isinstance(prompts, str) and len(prompts) > 0 and not isinstance(prompts[0], (int, dict))
        listed: Sequence[Any] = prompts if several else [prompts]
        if not isinstance(prompts, str) and not len(prompts):
            return []
        call, given = _l.Call(progress, log), _l.options_json(options)
        found: List[Dict[str, Any]] = [{} for _ in listed]
        requests = (_l.Request * len(listed))(*(self._request(prompt, given, seed, i) for i, prompt in enumerate(listed)))
        for i, request in enumerate(requests):
            request.on_done = _l.ON_DONE(call.guarded(lambda user, r, i=i: found[i].update(_result(r[0]))))
            if on_token is not None:
                request.on_token = _l.ON_TOKEN(call.guarded(lambda user, t, i=i: on_token(_token(t[0], i))))
        call.run(_lib.isara_generate, self._open(), requests, len(listed))
        if all("error" in result for result in found):
            raise Error(found[0]["code"], found[0]["error"])
        return found

    def score(self, pairs: Sequence[Sequence[str]], *, progress: Progress = None, log: Log = None) -> List[Dict[str, Any]]:
        """For each (prompt, completion): sum_logprob, token_ids and token_logprobs of the completion."""
        out = c.POINTER(_l.Score)()
        given = (_l.Pair * len(pairs))(*(_l.Pair(prompt.encode(), completion.encode()) for prompt, completion in pairs))
        _l.Call(progress, log).run(_lib.isara_score, self._open(), given, len(pairs), c.byref(out))
        found = [{"sum_logprob": s.sum_logprob, "n_tokens": s.n, "token_ids": s.ids[: s.n], "token_logprobs": s.logprobs[: s.n]} for s in out[: len(pairs)]]
        _lib.isara_free(c.cast(out, c.c_void_p))
        return found

    def embed(self, texts: Sequence[str], *, normalize: bool = True, progress: Progress = None, log: Log = None) -> List[List[float]]:
        out, given = _l.Vectors(), (c.c_char_p * len(texts))(*(text.encode() for text in texts))
        _l.Call(progress, log).run(_lib.isara_embed, self._open(), given, len(texts), int(normalize), c.byref(out))
        found = [out.values[i * out.width : (i + 1) * out.width] for i in range(out.n)]
        _lib.isara_free(c.cast(out.values, c.c_void_p))
        return found

    def train(self, data: Path, output: Path, *, on_step: Optional[Callable[[Dict[str, Any]], Any]] = None, progress: Progress = None, log: Log = None,
              **options: Any) -> Dict[str, Any]:
        """Fine-tunes it on the rows and writes it to output. on_step is called with step, total, loss, grad_norm, learning_rate, epoch, ..."""
        call, out = _l.Call(progress, log), _l.Trained()
        job = _l.Training(_l.encoded(data), _l.encoded(output), _l.options_json(options))
        if on_step is not None:
            job.on_step = _l.ON_STEP(call.guarded(lambda user, r: on_step(_fields(r[0]))))
        call.run(_lib.isara_train, self._open(), c.byref(job), c.byref(out))
        found = _fields(out)
        found["profile"] = _l.taken(out.profile)
        return found


def _fields(struct: c.Structure) -> Dict[str, Any]:
    return {name: getattr(struct, name) for name, *_ in struct._fields_}


def _text(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else value.decode("utf-8", "replace")


def _token(t: _l.Token, prompt: int) -> Dict[str, Any]:
    text = c.string_at(t.text, t.n_text).decode("utf-8", "replace") if t.n_text else ""
    return {"prompt": prompt, "sequence": t.sequence, "position": t.position, "id": t.id, "logprob": t.logprob, "text": text}


def _sequence(s: _l.Sequence) -> Dict[str, Any]:
    return {"text": _text(s.text), "token_ids": s.ids[: s.n], "token_logprobs": s.logprobs[: s.n], "finish_reason": "stop" if s.stopped else "length",
            "sum_logprob": s.sum_logprob, "score": s.score}


def _result(r: _l.Result) -> Dict[str, Any]:
    if r.error:
        return {"error": _text(r.error[0].message), "code": r.error[0].code}
    sequences = [_sequence(s) for s in r.sequences[: r.n]]
    return dict(sequences[0], sequences=sequences) if len(sequences) > 1 else sequences[0]


def _report(call: _l.Call, function: Callable[..., int], *arguments: Any) -> Dict[str, Any]:
    out = _l.Report()
    call.run(function, *arguments, c.byref(out))
    found, text = _l.taken(out.json), _l.taken(out.text)
    report = json.loads(found) if found else {}
    report["text"] = text
    return report


def align(model: Path, seeds: Path, output: Path, *, progress: Progress = None, log: Log = None, **options: Any) -> Dict[str, Any]:
    """The whole method into a run directory: metrics.json as a dict, and the summary's text under "text". Called again after a stop, it goes on."""
    return _report(_l.Call(progress, log), _lib.isara_align, _l.encoded(model), _l.encoded(seeds), _l.encoded(output), _l.options_json(options))


def results(run: Path) -> Dict[str, Any]:
    """What a run directory holds by now, finished or not, as align gives it."""
    return _report(_l.Call(), _lib.isara_results, _l.encoded(run))


def eval(task: str, *, progress: Progress = None, log: Log = None, **options: Any) -> Dict[str, Any]:
    """A benchmark of a model or of a file of its outputs; task "list": which there are, under "text"."""
    return _report(_l.Call(progress, log), _lib.isara_eval, task.encode(), _l.options_json(options))


def experiment(file: Path, output: Optional[Path] = None, *, progress: Progress = None, log: Log = None, **options: Any) -> Dict[str, Any]:
    """Arms, models and random seeds of one YAML file, done in a directory: results.json as a dict."""
    return _report(_l.Call(progress, log), _lib.isara_experiment, _l.encoded(file), _l.encoded(output), _l.options_json(options))


_OPEN = ("dtype", "threads", "isa", "adapter", "kv_dtype", "kv_memory", "page_size", "prefill_chunk", "prefix_cache")


def _opened(model: Union[Path, Model], options: Dict[str, Any], more: Sequence[str] = ()) -> Model:
    if isinstance(model, Model):
        return model
    return Model(model, **{name: options.pop(name) for name in (*_OPEN, *more) if name in options})


def generate(model: Union[Path, Model], prompts: Union[Prompt, Sequence[Prompt]], **options: Any) -> List[Dict[str, Any]]:
    """Model.generate of a model that is opened for it, or of one that is open."""
    return _opened(model, options).generate(prompts, **options)


def score(model: Union[Path, Model], pairs: Sequence[Sequence[str]], **options: Any) -> List[Dict[str, Any]]:
    return _opened(model, options).score(pairs, **options)


def embed(model: Union[Path, Model], texts: Sequence[str], **options: Any) -> List[List[float]]:
    return _opened(model, options).embed(texts, **options)


def train(model: Union[Path, Model], data: Path, output: Path, **options: Any) -> Dict[str, Any]:
    """Fine-tunes a model on the rows of a file and writes it to output."""
    return _opened(model, options, ("task", "labels", "init")).train(data, output, **options)
