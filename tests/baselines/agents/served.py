"""A server that speaks the protocol of chat completions over loopback, as servers do, with their quirks.

with serving(reply) as server:
    server.url, server.requests
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[list[dict[str, str]]], str]


class Served:
    """What the server does, and what it was asked.

    refusals: statuses (with bodies) that come before the first answer, one a request. refused: parameters it does not
    take. names: its models. wanted: the key it wants. keeps: whether the stop string stays. says: whether it names it.
    longest: characters of an answer before it is cut. raw: bytes it answers with instead. drip: seconds between bytes.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.refusals: list[tuple[int, Any]] = []
        self.refused: dict[str, str] = {}
        self.names = ["served"]
        self.wanted: str | None = None
        self.retry_after: str | None = "0"
        self.keeps = self.says = False
        self.longest = 10_000
        self.raw: bytes | None = None
        self.drip = 0.0
        self.together = self.most = 0
        self.lock = threading.Lock()
        self.url = ""

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and answer to one request for a completion."""
        if self.refusals:
            return self.refusals.pop(0)
        if body["model"] not in self.names:
            return 404, {"error": {"message": f"The model {body['model']} does not exist.", "code": "model_not_found"}}
        for name, message in self.refused.items():
            if name in body:
                return 400, {"error": {"message": message, "param": name, "code": "unsupported_parameter"}}
        text, finish, reason = self.reply(body["messages"]), "stop", None
        ends = [(text.find(stop), stop) for stop in body.get("stop", []) if stop in text]
        if ends:
            place, reason = min(ends)
            text = text[: place + len(reason) * self.keeps]
        elif len(text) > self.longest:
            text, finish = text[: self.longest], "length"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        if self.says:
            choice["stop_reason"] = reason
        usage = {"prompt_tokens": sum(len(one["content"]) for one in body["messages"]), "completion_tokens": len(text)}
        return 200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if not self._is_let_in():
                return
            if self.path == "/v1/models":
                self._say(200, {"data": [{"id": name} for name in served.names]})
            else:
                self._say(404, {"detail": "Not Found"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if not self._is_let_in():
                return
            if self.path != "/v1/chat/completions":
                self._say(404, {"detail": "Not Found"})
                return
            with served.lock:
                served.requests.append(body)
                served.headers.append({name.lower(): value for name, value in self.headers.items()})
                served.together += 1
                served.most = max(served.most, served.together)
            try:
                status, answer = served.answer(body)
            finally:
                with served.lock:
                    served.together -= 1
            self._say(status, answer)

        def _is_let_in(self) -> bool:
            if served.wanted is None or self.headers.get("authorization") == f"Bearer {served.wanted}":
                return True
            given = self.headers.get("authorization")
            self._say(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
            return False

        def _say(self, status: int, answer: Any) -> None:
            data = json.dumps(answer).encode() if served.raw is None else served.raw
            self.send_response(status)
            if status in (429, 503) and served.retry_after is not None:
                self.send_header("retry-after", served.retry_after)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has given up
                for byte in data if served.drip else [data]:
                    self.wfile.write(bytes([byte]) if served.drip else byte)
                    self.wfile.flush()
                    time.sleep(served.drip)

    return Handler


@contextlib.contextmanager
def serving(reply: Reply) -> Iterator[Served]:
    """A server on a free port of loopback, until the block ends."""
    served = Served(reply)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
