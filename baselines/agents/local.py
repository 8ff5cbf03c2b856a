"""LocalBackend: agents write with a policy of ours, all episodes as one batch.

    backend = LocalBackend(load_policy(folder), TokenLimits(64, 768), Sampling(temperature=0.0))
    episode = aepo_env.play(env, React(env, backend.writer(("task-7",))))
    backend.close()

What an episode says is laid out as in training: the opening messages through the chat template, then the model's own
tokens, and what it got back as plain text, in one turn of the assistant. A conversation that goes on where an earlier
request ended reads only what is new; tokens that were sampled are never made from text again.

A thread of the backend's own runs the engine. It waits until every thread that was expected asks for something, so that
which episodes decode together, and with it the rounding, does not depend on how fast anybody was: results repeat to the
bit. Nothing said to the model can speak for a role: special tokens in messages are taken apart, behind the opening
messages they are read as plain text.

Left out: several engines, and prompts shared between episodes.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from algorithms.policy.engine import Branch, Finish, Generated
from algorithms.policy.loading import Policy
from algorithms.policy.local import LocalEngine
from algorithms.policy.sampling import Sampling
from algorithms.rollout.inputs import TokenLimits
from algorithms.tree import TokenTree
from baselines.agents.writer import Key, Message, OutOfTokens, WriterFailed, Written

_PATIENCE = 1_800.0  # seconds that a request may take, the turns of all others of its batch included


@dataclass(eq=False)
class _Conversation:
    """A branch, and the messages that its tokens hold."""

    messages: list[Message]
    branch: Branch


@dataclass(eq=False)
class _Request:
    writer: "LocalWriter"
    messages: list[Message]
    stop: tuple[str, ...]
    conversation: _Conversation | None = None
    read: int = 0
    room: int = 0
    written: Written | None = None
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def end(self, found: Written | Exception) -> None:
        if isinstance(found, Written):
            self.written = found
        else:
            self.error = found
        self.done.set()


class LocalWriter:
    """The writer of one episode; see `Writer`."""

    def __init__(self, backend: "LocalBackend", key: Key) -> None:
        self.key = key
        self.conversations: list[_Conversation] = []
        self.opened = 0
        self._backend = backend

    def write(self, messages: Sequence[Message], stop: Sequence[str] = ()) -> Written:
        """See `Writer.write`."""
        return self._backend.ask(_Request(self, [dict(message) for message in messages], tuple(stop)))

    def close(self) -> None:
        """See `Writer.close`."""
        self._backend.forget(self)


class LocalBackend:
    """See the module's docstring, and `Backend`.

    Args:
        policy: its weights must not change while the backend is open.
        limits: tokens of one text, and of a conversation with all that was read; the model's own if that is less.
        sampling: how tokens are drawn.
        seed: with a writer's key it names its random numbers.
        label: what the policy is called.
    """

    def __init__(
        self, policy: Policy, limits: TokenLimits, sampling: Sampling, *, seed: int = 0, label: str = "policy"
    ) -> None:
        self._codec, self._limits, self._sampling, self._seed, self._label = policy.codec, limits, sampling, seed, label
        self._total = min(limits.total, int(policy.model.config.max_position_embeddings))
        added = policy.tokenizer.added_tokens_decoder.values()
        self._special = {str(token) for token in added if token.special} | set(policy.tokenizer.all_special_tokens)
        self._engine: LocalEngine = policy.engine()
        self._changed = threading.Condition()
        self._expected = 0
        self._new: list[_Request] = []
        self._over: list[LocalWriter] = []
        self._under_way: dict[Branch, _Request] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def label(self) -> str:
        """See `Backend.label`."""
        return self._label

    def expect(self, threads: int) -> None:
        """See `Backend.expect`."""
        with self._changed:
            self._expected += threads

    def leave(self) -> None:
        """See `Backend.leave`."""
        with self._changed:
            self._expected -= 1
            self._changed.notify_all()

    def writer(self, key: Key) -> LocalWriter:
        """See `Backend.writer`."""
        return LocalWriter(self, key)

    def ask(self, request: _Request) -> Written:
        """Wait for a request's text."""
        with self._changed:
            if self._closed:
                raise WriterFailed("The model was closed while an episode still wanted to write.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
                self._thread.start()
            self._new.append(request)
            self._changed.notify_all()
        if not request.done.wait(_PATIENCE):
            raise WriterFailed(
                f"The model wrote nothing within {_PATIENCE:.0f} seconds: let fewer episodes play at once."
            )
        if request.error is not None:
            raise request.error
        assert request.written is not None
        return request.written

    def forget(self, writer: LocalWriter) -> None:
        """Give back what a writer's conversations hold, before the engine goes on."""
        with self._changed:
            self._over.append(writer)

    def close(self) -> None:
        """See `Backend.close`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    # ------------------------------------------------------------------------------------------- the engine's thread

    def _serve(self) -> None:
        error: Exception = WriterFailed("The model was closed while an episode still wanted to write.")
        try:
            while self._take():
                self._work()
        except Exception as failure:  # whatever the engine meets, those who wait must hear of it
            error = failure
        with self._changed:
            self._closed = True
            waiting = [*self._under_way.values(), *self._new]
            self._under_way, self._new = {}, []
        self._engine.close_all()
        for request in waiting:
            request.end(error)

    def _take(self) -> bool:
        """Wait until everybody asks, and start what is new; False when closed."""
        with self._changed:
            while not self._closed and len(self._new) + len(self._under_way) < max(1, self._expected):
                self._changed.wait(timeout=1.0)
            if self._closed:
                return False
            new, self._new = sorted(self._new, key=lambda request: str(request.writer.key)), []
            over, self._over = self._over, []
        for writer in over:
            for conversation in writer.conversations:
                self._engine.close(conversation.branch)
            writer.conversations.clear()
        for request in new:
            try:
                self._start(request)
            except (OutOfTokens, ValueError) as refused:
                request.end(refused)
        return True

    def _work(self) -> None:
        """Write until a request is done."""
        while self._engine.busy and not self._closed:
            if done := self._engine.step():
                for generated in done:
                    self._end(self._under_way.pop(generated.branch), generated)
                return

    def _start(self, request: _Request) -> None:
        """Read what the conversation has that is new, and ask the engine for more."""
        writer, messages = request.writer, request.messages
        told = [one for one in writer.conversations if one.messages == messages[: len(one.messages)]]
        told = [one for one in told if len(one.messages) < len(messages)]
        if told:
            conversation = max(told, key=lambda one: len(one.messages))
            new = messages[len(conversation.messages) :]
        else:
            count = next((place for place, each in enumerate(messages) if each["role"] == "assistant"), len(messages))
            conversation, new = self._open(writer, messages[:count]), messages[count:]
        branch = conversation.branch
        if tokens := [token for each in new if each["content"] for token in self._codec.observation(each["content"])]:
            self._engine.observe(branch, tokens)
        conversation.messages = messages
        request.read = branch.tree.nodes[branch.node].end
        request.room = min(self._limits.turn, self._total - request.read)
        if request.room < 1:
            raise OutOfTokens("max_context")
        self._engine.generate(branch, max_tokens=request.room, stop=request.stop, sampling=self._sampling)
        request.conversation = conversation
        self._under_way[branch] = request

    def _open(self, writer: LocalWriter, messages: Sequence[Message]) -> _Conversation:
        tree = TokenTree("/".join(map(str, writer.key)), self._codec.prompt([self._plain(each) for each in messages]))
        if tree.nodes[tree.root].end >= self._total:
            raise OutOfTokens("max_context")
        branch = self._engine.open(tree, key=(self._seed, *writer.key, writer.opened))
        writer.opened += 1
        conversation = _Conversation(list(messages), branch)
        writer.conversations.append(conversation)
        return conversation

    def _plain(self, message: Message) -> dict[str, str]:
        """A message whose content holds no special token."""
        content = message["content"]
        for token in self._special:
            content = content.replace(token, f"{token[:1]} {token[1:]}")
        return {**message, "content": content}

    def _end(self, request: _Request, generated: Generated) -> None:
        """Hand a finished text over."""
        text = self._codec.text(generated.drawn.tokens)
        assert request.conversation is not None
        messages = request.conversation.messages
        begun = ""
        if messages[-1]["role"] == "assistant":
            *messages, last = messages
            begun = last["content"]
        request.conversation.messages = [*messages, {"role": "assistant", "content": begun + text}]
        if generated.finish == Finish.CONTEXT or (
            generated.finish == Finish.LENGTH and request.room < self._limits.turn
        ):
            request.end(OutOfTokens("max_context", text))
            return
        finish = {Finish.STOP: "stop", Finish.END: "end"}.get(generated.finish, "length")
        request.end(Written(text, finish, request.read, len(generated.drawn.tokens)))  # type: ignore[arg-type]
