# SPDX-License-Identifier: Apache-2.0
"""libisara (include/isara.h) as ctypes sees it: its structs, its calls, its errors as exceptions."""
from __future__ import annotations

import ctypes as c
import json
import os
import signal
import threading
from typing import Any, Callable, Dict, Mapping, Optional

_NAMES = ["ok", "failed", "usage", "data", "no input", "unavailable", "internal", "no memory", "input/output", "interrupted", "permission", "configuration"]


class Error(Exception):
    """What isara says went wrong: one line that names the file, the place, what was wanted, what was found and the mend."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code
        self.kind = _NAMES[-code] if 0 <= -code < len(_NAMES) else "failed"


class ErrorStruct(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 1024)]


class Progress(c.Structure):
    _fields_ = [("stage", c.c_char_p), ("unit", c.c_char_p), ("done", c.c_long), ("total", c.c_long), ("tokens", c.c_double), ("note", c.c_char_p)]


LINE = c.CFUNCTYPE(None, c.c_void_p, c.c_int, c.c_char_p)
PROGRESS = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Progress))


class Listener(c.Structure):
    _fields_ = [("line", LINE), ("progress", PROGRESS), ("user", c.c_void_p)]


class Ids(c.Structure):
    _fields_ = [("ids", c.POINTER(c.c_int32)), ("n", c.c_size_t)]


class Token(c.Structure):
    _fields_ = [("request", c.c_void_p), ("sequence", c.c_int), ("position", c.c_int), ("id", c.c_int32), ("logprob", c.c_float),
                ("text", c.POINTER(c.c_char)), ("n_text", c.c_size_t)]


class Sequence(c.Structure):
    _fields_ = [("text", c.c_char_p), ("ids", c.POINTER(c.c_int32)), ("logprobs", c.POINTER(c.c_float)), ("n", c.c_int), ("stopped", c.c_int),
                ("score", c.c_float), ("sum_logprob", c.c_double)]


class Result(c.Structure):
    _fields_ = [("request", c.c_void_p), ("sequences", c.POINTER(Sequence)), ("n", c.c_int), ("error", c.POINTER(ErrorStruct))]


ON_TOKEN = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Token))
ON_DONE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Result))


class Request(c.Structure):
    _fields_ = [("prompt", c.c_char_p), ("ids", c.POINTER(c.c_int32)), ("n_id", c.c_size_t), ("is_chat", c.c_int), ("options", c.c_char_p),
                ("seed", c.c_uint64), ("key", c.c_uint64), ("on_token", ON_TOKEN), ("on_done", ON_DONE), ("user", c.c_void_p)]


class Pair(c.Structure):
    _fields_ = [("prompt", c.c_char_p), ("completion", c.c_char_p)]


class Score(c.Structure):
    _fields_ = [("sum_logprob", c.c_double), ("ids", c.POINTER(c.c_int32)), ("logprobs", c.POINTER(c.c_float)), ("n", c.c_size_t)]


class Vectors(c.Structure):
    _fields_ = [("values", c.POINTER(c.c_float)), ("n", c.c_size_t), ("width", c.c_size_t)]


class StepReport(c.Structure):
    _fields_ = [("step", c.c_long), ("total", c.c_long), ("loss", c.c_double), ("grad_norm", c.c_double), ("learning_rate", c.c_double),
                ("epoch", c.c_double), ("tokens", c.c_long), ("target_tokens", c.c_long), ("seconds", c.c_double)]


ON_STEP = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(StepReport))


class Training(c.Structure):
    _fields_ = [("data", c.c_char_p), ("output", c.c_char_p), ("options", c.c_char_p), ("on_step", ON_STEP), ("user", c.c_void_p)]


class Trained(c.Structure):
    _fields_ = [("steps", c.c_long), ("first_loss", c.c_double), ("last_loss", c.c_double), ("eval_loss", c.c_double), ("profile", c.c_void_p)]


class Report(c.Structure):
    _fields_ = [("json", c.c_void_p), ("text", c.c_void_p)]


def _load() -> c.CDLL:
    lib = c.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libisara.so"))
    p, s, e = c.c_void_p, c.c_char_p, c.POINTER(ErrorStruct)
    calls = {
        "isara_version": ([], s), "isara_free": ([p], None), "isara_listen": ([c.POINTER(Listener)], None), "isara_interrupt": ([], None),
        "isara_resume": ([], None), "isara_open": ([c.POINTER(p), s, s, e], c.c_int), "isara_close": ([p], None),
        "isara_inspect": ([p, c.POINTER(p), e], c.c_int), "isara_tokenize": ([p, s, c.c_size_t, c.c_int, c.POINTER(Ids), e], c.c_int),
        "isara_detokenize": ([p, c.POINTER(Ids), c.c_int, c.POINTER(p), c.POINTER(c.c_size_t), e], c.c_int),
        "isara_chat": ([p, s, c.POINTER(p), e], c.c_int), "isara_generate": ([p, c.POINTER(Request), c.c_size_t, e], c.c_int),
        "isara_score": ([p, c.POINTER(Pair), c.c_size_t, c.POINTER(c.POINTER(Score)), e], c.c_int),
        "isara_embed": ([p, c.POINTER(s), c.c_size_t, c.c_int, c.POINTER(Vectors), e], c.c_int),
        "isara_train": ([p, c.POINTER(Training), c.POINTER(Trained), e], c.c_int),
        "isara_align": ([s, s, s, s, c.POINTER(Report), e], c.c_int), "isara_results": ([s, c.POINTER(Report), e], c.c_int),
        "isara_eval": ([s, s, c.POINTER(Report), e], c.c_int), "isara_experiment": ([s, s, s, c.POINTER(Report), e], c.c_int),
    }
    for name, (arguments, result) in calls.items():
        call = getattr(lib, name)
        call.argtypes, call.restype = arguments, result
    return lib


lib = _load()
_RAISING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2}  # whose handlers may raise
_one_at_a_time = threading.RLock()  # messages, progress and the wish to stop are the process's


def taken(address: Optional[int]) -> Optional[str]:
    """A text that a call handed out, given back to it."""
    if not address:
        return None
    text = c.string_at(address).decode("utf-8", "replace")
    lib.isara_free(address)
    return text


def encoded(value: Any) -> Optional[bytes]:
    return None if value is None else os.fspath(value).encode() if not isinstance(value, bytes) else value


def options_json(options: Mapping[str, Any]) -> bytes:
    def plain(value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    return json.dumps({name: plain(value) for name, value in options.items() if value is not None}).encode()


class Call:
    """One call of the library, made in a thread of its own, so that Ctrl-C reaches the caller while it works: it is then interrupted at its next safe
    point. An exception in a callback does the same and is raised here."""

    def __init__(self, progress: Optional[Callable[[Dict[str, Any]], Any]] = None, log: Optional[Callable[[str, str], Any]] = None):
        self.raised: Optional[BaseException] = None
        self.error = ErrorStruct()
        self._line = LINE(self.guarded(lambda user, level, text: log and log(("debug", "info", "warning")[level], text.decode("utf-8", "replace"))))
        self._progress = PROGRESS(self.guarded(lambda user, p: progress and progress(_progress_dict(p[0]))))

    def guarded(self, body: Callable[..., Any]) -> Callable[..., int]:
        def run(*arguments: Any) -> int:
            if self.raised is not None:
                return -1
            try:
                body(*arguments)
            except BaseException as raised:  # noqa: B902 (it must not pass through C)
                self.raised = raised
                lib.isara_interrupt()
                return -1
            return 0

        return run

    def run(self, call: Callable[..., int], *arguments: Any) -> None:
        code, done = [], threading.Event()  # a thread's own join() takes one for ended that Ctrl-C interrupted (Python 3.9 to 3.11)

        def work() -> None:
            code.append(call(*arguments, c.byref(self.error)))
            done.set()

        with _one_at_a_time:
            lib.isara_listen(c.byref(Listener(self._line, self._progress, None)))
            try:
                self._start(threading.Thread(target=work, daemon=True), done)
            finally:
                lib.isara_listen(None)
                lib.isara_resume()
        if self.raised is not None:
            raise self.raised
        if code[0]:
            raise Error(code[0], self.error.message.decode("utf-8", "replace"))

    def _start(self, thread: threading.Thread, done: threading.Event) -> None:
        begun, mask = False, signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, _RAISING)  # from here on what is raised is raised where the thread is known to run, or not to
            thread.start()
            begun = True
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            done.wait()
        except BaseException as raised:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if not begun:
                raise
            self._stop(raised, done)

    def _stop(self, raised: BaseException, done: threading.Event) -> None:
        try:
            lib.isara_interrupt()
            self.raised = self.raised or raised
            done.wait()
        except BaseException as more:  # as by a second Ctrl-C
            self._stop(more, done)


def _progress_dict(p: Progress) -> Dict[str, Any]:
    def text(value: Optional[bytes]) -> Optional[str]:
        return None if value is None else value.decode("utf-8", "replace")

    return {"stage": text(p.stage), "unit": text(p.unit), "done": p.done, "total": p.total, "tokens": p.tokens, "note": text(p.note)}
