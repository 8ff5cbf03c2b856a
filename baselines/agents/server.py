"""ServerBackend: agents write with a model behind an OpenAI-compatible server (vLLM, SGLang, llama.cpp, OpenAI, …).

    backend = ServerBackend("http://127.0.0.1:8000/v1", "Qwen3-8B", key=os.environ.get("OPENAI_API_KEY"))
    backend.check()                                        # is it there, does it know the model?
    episode = aepo_env.play(env, React(env, backend.writer(("task-7",))))

One request a text: POST /chat/completions with stop strings. Servers cut the stop string off; it is put back. What a
server says it does not take (`stop`, `temperature`, `max_tokens` under its old name) is left out from then on; stop
strings are then found here, behind the whole text.

A server that is busy or away is asked again after growing pauses, or when it says so, within `patience` seconds; one
answer may take `seconds` and be a few megabytes. What it says is untrusted text: it is cleaned, cut, and never holds
the key. Marks of chat formats in messages are taken apart, since many servers read them: a page must not speak for a
role.

Needs httpx (extra `live`). Left out: streaming, tools in the server's format, continuing an assistant's message, and
thoughts that a server sets apart from the text: they are no part of the turn.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aepo_env.errors import MissingExtra
from aepo_env.text import clean, cut, did_you_mean
from baselines.agents.writer import Key, Message, OutOfTokens, WriterFailed, Written, without_markers

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_ANSWER = 8 * 1024 * 1024  # bytes
_LONGEST_PAUSE = 30.0
_LONGEST_WORDS = 200  # characters of what a server says, in a message
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TOO_LONG = ("context_length_exceeded", "maximum context length", "context length", "context size", "too many tokens")
_CAN_GO = ("stop", "temperature", "top_p")


class ServerBackend:
    """See the module's docstring, and `Backend`.

    Args:
        url: where /chat/completions is, as OpenAI clients take it: usually it ends in /v1.
        model: the name the server serves it under.
        key: sent as a bearer token; None sends none.
        turn_tokens: of one text. temperature, top_p: how it is drawn.
        seconds: that one answer may take. patience: for all tries of a request together. pause: before the second try.

    Raises:
        ValueError: an address that is none. MissingExtra: httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        turn_tokens: int = 1_024,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seconds: float = 300.0,
        patience: float = 600.0,
        pause: float = 1.0,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra(
                "A server is reached with httpx, which is not installed: pip install '.[live]'."
            ) from error
        self._httpx = httpx
        self._url, host = _base(url)
        self.model, self._key = model, key
        self._given: dict[str, Any] = {"max_tokens": turn_tokens, "temperature": temperature}
        if top_p < 1:
            self._given["top_p"] = top_p
        self._refused: set[str] = set()
        self._seconds, self._patience, self._pause = seconds, patience, pause
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        # A proxy has nothing to do with a server on this machine.
        self._client = httpx.Client(headers=headers, trust_env=host not in _LOOPBACK, follow_redirects=False)
        self._closed = threading.Event()

    @property
    def label(self) -> str:
        """See `Backend.label`."""
        return self.model

    def expect(self, threads: int) -> None:
        """See `Backend.expect`: a server batches by itself."""

    def leave(self) -> None:
        """See `Backend.leave`."""

    def writer(self, key: Key) -> "ServerWriter":
        """See `Backend.writer`. A server's chance is its own."""
        return ServerWriter(self)

    def close(self) -> None:
        """See `Backend.close`."""
        self._closed.set()
        self._client.close()

    def check(self) -> None:
        """Ask for the list of models.

        Raises:
            ValueError: nobody is there, the key is refused, or there is no such model. A server without a list is fine.
        """
        try:
            status, answer, _ = self._exchange("GET", "/models", None, min(self._seconds, 20.0))
        except (OSError, self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            raise ValueError(
                f"No server answers at {self._url} ({self._words(error)}): start it, or correct --server."
            ) from error
        if status in (401, 403):
            raise ValueError(self._no_key(status))
        listed = answer.get("data") if status == 200 else None
        names = (
            [str(one["id"]) for one in listed if isinstance(one, Mapping) and "id" in one]
            if isinstance(listed, list)
            else []
        )
        if names and self.model not in names:
            shown = cut(clean(", ".join(names)), _LONGEST_WORDS)
            raise ValueError(
                f"The server at {self._url} has no model {self.model!r}{did_you_mean(self.model, names)} Give as "
                f"--served-model what it has: {shown}."
            )

    def complete(self, messages: Sequence[Message], stop: Sequence[str]) -> dict[str, Any]:
        """The server's answer to one request, tried until it comes or patience ends.

        Raises:
            OutOfTokens: the messages are too long for the model. ValueError: the server refuses the request for good.
            WriterFailed: it could not be had.
        """
        end = time.monotonic() + self._patience
        pause, tries, problem = self._pause, 0, ""
        while not self._closed.is_set():
            tries += 1
            body = {"model": self.model, "messages": list(messages), **self._given}
            if stop:
                body["stop"] = list(stop)
            body = {name: value for name, value in body.items() if name not in self._refused}
            wished = None
            try:
                status, answer, wished = self._exchange("POST", "/chat/completions", body, self._seconds)
                if status == 200:
                    return answer
                if self._adapts(status, answer, body):
                    continue
                problem = f"HTTP {status}: {self._words(_message(answer))}"
                if status not in _AGAIN:
                    raise self._refusal(status, answer, problem)
            except (OSError, self._httpx.HTTPError) as error:
                problem = self._words(error)
            wait = max(pause, wished or 0.0)
            if time.monotonic() + wait >= end:
                break
            self._closed.wait(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)
        said = f"{problem} after {tries} tries" if problem else "it was closed"
        raise WriterFailed(f"The server at {self._url} could not be had ({said}): look after it and start again.")

    # ----------------------------------------------------------------------------------------------------- one request

    def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None, seconds: float
    ) -> tuple[int, dict[str, Any], float | None]:
        """Status, answer, and the pause the server wishes for. The whole takes `seconds` and a read, at most."""
        end = time.monotonic() + seconds
        timeout = self._httpx.Timeout(seconds, connect=min(seconds, 10.0))
        with self._client.stream(method, self._url + path, json=body, timeout=timeout) as response:
            data = b""
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _LONGEST_ANSWER:
                    raise OSError(f"its answer is longer than {_LONGEST_ANSWER} bytes")
                if time.monotonic() > end:
                    raise TimeoutError(f"its answer took longer than {seconds:.0f} seconds")
            status, wished = response.status_code, response.headers.get("retry-after", "")
        try:
            answer = json.loads(data)
        except ValueError:
            answer = {"message": data[:_LONGEST_WORDS].decode("utf-8", "replace")}
            status = 502 if status == 200 else status  # something between us and the server has answered
        pause = min(float(wished), _LONGEST_PAUSE) if wished.isdigit() else None
        return status, answer if isinstance(answer, dict) else {"message": str(answer)}, pause

    def _adapts(self, status: int, answer: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
        """Leave out what the server says it does not take; whether the request that was sent had any of it."""
        if status not in (400, 422):
            return False
        if "max_completion_tokens" in _message(answer) and "max_tokens" in body:
            kept = {name: value for name, value in self._given.items() if name != "max_tokens"}
            self._given = {**kept, "max_completion_tokens": body["max_tokens"]}
            return True
        error = answer.get("error")
        wrong = error.get("param") if isinstance(error, Mapping) else None
        if wrong not in _CAN_GO or wrong not in body:
            return False
        self._refused = self._refused | {wrong}
        return True

    def _refusal(self, status: int, answer: Mapping[str, Any], problem: str) -> Exception:
        """What a status that no second try would change means."""
        if status in (401, 403):
            return ValueError(self._no_key(status))
        if status in (400, 413, 422) and any(words in f"{_message(answer)} {answer}".lower() for words in _TOO_LONG):
            return OutOfTokens("max_context")
        if status == 404:
            return ValueError(
                f"The server at {self._url} has no chat completions for {self.model!r} ({problem}): correct --server "
                "or --served-model."
            )
        return ValueError(f"The server at {self._url} refuses the request ({problem}).")

    def _no_key(self, status: int) -> str:
        given = "refuses the key" if self._key else "wants a key"
        return f"The server at {self._url} {given} (HTTP {status}): --key-variable names the variable that holds it."

    def _words(self, said: object) -> str:
        """What somebody said, on one short line, without the key."""
        text = str(said) or type(said).__name__
        if self._key:
            text = text.replace(self._key, "…")
        return cut(clean(text), _LONGEST_WORDS)


class ServerWriter:
    """The writer of one episode; see `Writer`."""

    def __init__(self, backend: ServerBackend) -> None:
        self._backend = backend

    def write(self, messages: Sequence[Message], stop: Sequence[str] = ()) -> Written:
        """See `Writer.write`. Raises ValueError where the last message is the assistant's."""
        if messages[-1]["role"] == "assistant":
            raise ValueError("A server cannot go on with a turn that was begun for it: take --prompt own.")
        plain = [{"role": each["role"], "content": without_markers(each["content"])} for each in messages]
        return _written(self._backend.complete(plain, stop), stop)

    def close(self) -> None:
        """See `Writer.close`."""


def _base(url: str) -> tuple[str, str]:
    """The address without what clients put behind it, and its host."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise ValueError(f"--server takes an address such as http://127.0.0.1:8000/v1; got {url!r}.")
    return url.rstrip("/").removesuffix("/chat/completions"), parts.hostname


def _message(answer: Mapping[str, Any]) -> str:
    """What an error says, wherever it says it."""
    error = answer.get("error", answer)
    said = error.get("message") if isinstance(error, Mapping) else error
    return str(said or answer.get("detail") or answer)


def _written(answer: Mapping[str, Any], stop: Sequence[str]) -> Written:
    """A text out of an answer. Raises WriterFailed where there is none."""
    try:
        choice = answer["choices"][0]
        text = choice["message"].get("content") or ""
        reason = choice.get("finish_reason")
        usage = answer.get("usage") or {}
        read, written = (int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens"))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        said = cut(clean(str(answer)), _LONGEST_WORDS)
        raise WriterFailed(f"The server's answer is no chat completion ({said}): is it OpenAI-compatible?") from error
    if not isinstance(text, str):
        raise WriterFailed("The server's answer holds no text: is it a chat model?")
    ends = [place + len(each) for each in stop if (place := text.find(each)) >= 0]
    if ends:  # a server that keeps the stop string, or knows none
        return Written(text[: min(ends)], "stop", read, written)
    if reason == "length":
        return Written(text, "length", read, written)
    named = choice.get("stop_reason")  # vLLM and SGLang say which
    missing = named if named in stop else _unclosed(text, stop)
    return Written(text + (missing or ""), "stop" if missing else "end", read, written)


def _unclosed(text: str, stop: Sequence[str]) -> str | None:
    """The closing tag that was cut off: that of the tag opened last, behind a thought that was closed."""
    start = text.rfind("</think>") + 1
    opened = {each: text.rfind(each.replace("</", "<", 1), start) for each in stop}
    last = max(opened, key=lambda each: opened[each], default=None)
    return last if last is not None and opened[last] >= 0 else None
