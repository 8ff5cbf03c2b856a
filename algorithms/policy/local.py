"""LocalEngine: generation with transformers models in this process, on token trees, on any device.

    engine = LocalEngine(model, pieces=token_pieces(tokenizer), end_tokens={tokenizer.eos_token_id})

See `engine.py` for how it is used. At each step all live branches of all trees go through the model as one batch, each
with the tokens it has not fed yet: usually the one sampled last, after an observation the whole of it. Keys and values
are kept per path and shared between forks (`kv_store.py`, `decode_attention.py`); a fork feeds the last token before it
once more, so that it has logits of its own to draw from.

What is guaranteed: a token's random number depends on its branch's key and its depth alone. The same calls in the same
order at the same thread count give bit-equal results. If branches run in other company, matrix products round
differently: log-probabilities differ by some 1e-15 (float64) or 1e-6 (float32), so a sampled token differs only where
its random number falls that close to the border between two tokens. Per token, the chance is of the same order.

Numbers are those of `learner_forward` at the same weights. Weights must not change while branches are open: their keys
and values would be of the old ones; `step` and `fork` raise if they did.

Left out: batching over several processes or devices, quantised weights.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedModel

from algorithms.policy.decode_attention import NAME, Extension, StepPlan, arrange
from algorithms.policy.engine import Branch, Finish, Generated
from algorithms.policy.kv_store import KVStore, Run
from algorithms.policy.models import attention, backbone, head, require_supported
from algorithms.policy.sampling import Drawn, Key, Sampling, Stream, draw
from algorithms.policy.stopping import StopMatcher, check_stops
from algorithms.tree import Kind, TokenTree

_PREFILL_AT_ONCE = 8192
"""Tokens of one forward that only fills K/V."""


@dataclass(slots=True)
class _Request:
    max_tokens: int
    stop: tuple[str, ...]
    sampling: Sampling
    parts: list[tuple[Drawn, int]] = field(default_factory=list)  # for each token a step's draw, and the row in it


@dataclass(slots=True)
class _State:
    """What the engine knows of a branch.

    run: where its last stored position lies; is_own: whether that run is this branch's to grow.
    fed: positions of its path that are stored. pending: tokens of its path that are not, never empty.
    """

    run: Run | None
    is_own: bool
    fed: int
    pending: list[int]
    stream: Stream
    matcher: StopMatcher | None
    request: _Request | None = None


class LocalEngine:
    """An `engine.Engine` over a model in memory.

    Args:
        model: a causal model that `models.require_supported` accepts. The engine only reads it.
        pieces: text of each token id (`stopping.token_pieces`); needed for stop strings only.
        end_tokens: ids that end a turn.
    """

    def __init__(
        self, model: PreTrainedModel, *, pieces: Sequence[str] | None = None, end_tokens: Collection[int] = ()
    ) -> None:
        require_supported(model)
        config = model.config
        self.model = model
        self._pieces = pieces
        self._end_tokens = frozenset(end_tokens)
        self._longest: int = config.max_position_embeddings
        width: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.store = KVStore(
            config.num_hidden_layers, config.num_key_value_heads, width, model.dtype, torch.device(model.device)
        )
        self._states: dict[Branch, _State] = {}
        self._requests: dict[Branch, None] = {}  # branches with a request under way, in the order of their requests
        self._weights = 0
        self._parameters = list(model.parameters())
        self._arranged_for: list[Run] = []
        self._arranged = arrange([])

    # ------------------------------------------------------------------------------------------------------ branches

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._requests)

    @property
    def open_branches(self) -> int:
        """Branches that hold keys and values."""
        return len(self._states)

    def open(self, tree: TokenTree, node: int = 0, *, key: Key) -> Branch:
        """See `Engine.open`. Nothing is computed yet; a node other than the prompt is computed anew from its tokens."""
        tokens = tree.path_tokens(node)
        return self._new(Branch(tree, node, key), _State(None, False, 0, tokens, Stream(key), self._matcher()))

    def fork(self, branch: Branch, node: int, *, key: Key) -> Branch:
        """See `Engine.fork`. Raises ValueError where `node` is not on the branch's path."""
        state = self._state(branch)
        tree = branch.tree
        if node not in tree.path(branch.node):
            raise ValueError(f"Node {node} is not on the path of the branch, which stands at node {branch.node}.")
        # The last token before the fork is fed again by the child: see the module's docstring.
        depth = tree.nodes[node].end - 1
        if state.fed < depth:
            self._fill(branch)
        run = state.run
        while run is not None and run.start >= depth:
            run = run.parent
        if run is not None:
            run.users += 1
        child = Branch(tree, node, key)
        return self._new(child, _State(run, False, depth, tree.path_tokens(node, depth), Stream(key), self._matcher()))

    def observe(self, branch: Branch, tokens: Sequence[int]) -> int:
        """See `Engine.observe`."""
        state = self._state(branch)
        if state.request is not None:
            raise ValueError("The branch is generating: an observation can only follow a finished request.")
        branch.node = branch.tree.add(branch.node, Kind.OBSERVATION, tokens)
        state.pending.extend(int(token) for token in tokens)
        if state.matcher is not None:
            state.matcher.clear()
        return branch.node

    def close(self, branch: Branch) -> None:
        """See `Engine.close`."""
        state = self._states.pop(branch, None)
        if state is not None:
            self._requests.pop(branch, None)
            self.store.release(state.run)

    def close_all(self) -> None:
        """Close every branch: after an error, or before the weights change."""
        for branch in list(self._states):
            self.close(branch)

    def _new(self, branch: Branch, state: _State) -> Branch:
        if not self._states:
            self._weights = self._weights_version()
        self._states[branch] = state
        return branch

    def _state(self, branch: Branch) -> _State:
        if branch not in self._states:
            raise ValueError(f"The branch {branch.key} is closed, or belongs to another engine.")
        return self._states[branch]

    def _matcher(self) -> StopMatcher | None:
        return StopMatcher(self._pieces) if self._pieces is not None else None

    # ---------------------------------------------------------------------------------------------------- generation

    def generate(
        self, branch: Branch, *, max_tokens: int, stop: Sequence[str] = (), sampling: Sampling | None = None
    ) -> None:
        """See `Engine.generate`."""
        state = self._state(branch)
        if state.request is not None:
            raise ValueError("The branch is generating already: wait until `step` returns its request.")
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1; got {max_tokens}.")
        if stop and self._pieces is None:
            raise ValueError("Stop strings need the text of tokens: make the engine with pieces=token_pieces(...).")
        check_stops(stop)
        if state.fed + len(state.pending) > self._longest:
            raise ValueError(
                f"The path has {state.fed + len(state.pending)} tokens, the model takes {self._longest}: close the "
                "branch; limits of the environment should end an episode before the model's."
            )
        state.request = _Request(max_tokens, tuple(stop), sampling or Sampling())
        self._requests[branch] = None

    def step(self) -> list[Generated]:
        """One token for every branch with a request; see `Engine.step`."""
        if not self._requests:
            return []
        live = [(branch, self._states[branch]) for branch in self._requests]
        with torch.inference_mode():
            self.store.compact()
            logits, order = self._forward([state for _, state in live])
            states = [live[i][1] for i in order]
            for sampling in dict.fromkeys(_request(state).sampling for state in states):
                places = [i for i, state in enumerate(states) if _request(state).sampling == sampling]
                mine = [states[i] for i in places]
                uniforms = [state.stream.uniform(state.fed) for state in mine]
                drawn = draw(logits if len(mine) == len(live) else logits[places], uniforms, sampling)
                for i, state in enumerate(mine):
                    _request(state).parts.append((drawn, i))
                    state.pending.append(drawn.tokens[i])
        done = [generated for branch, state in live if (generated := self._finished(branch, state)) is not None]
        for generated in done:
            del self._requests[generated.branch]
        return done

    def _finished(self, branch: Branch, state: _State) -> Generated | None:
        """Look at the token just drawn; if the request ends with it, write its tokens into the tree."""
        request = _request(state)
        token = state.pending[-1]
        stop = state.matcher.feed(token, request.stop) if state.matcher is not None else None
        if token in self._end_tokens:
            finish = Finish.END
        elif stop is not None:
            finish = Finish.STOP
        elif len(request.parts) >= request.max_tokens:
            finish = Finish.LENGTH
        elif state.fed + 1 >= self._longest:
            finish = Finish.CONTEXT
        else:
            return None
        state.request = None
        tree, drawn = branch.tree, _joined(request.parts)
        if self._goes_on(branch):
            tree.extend(branch.node, drawn.tokens, drawn.log_probs, drawn.entropies)
        else:
            branch.node = tree.add(branch.node, Kind.POLICY, drawn.tokens, drawn.log_probs, drawn.entropies)
        return Generated(branch, finish, stop if finish == Finish.STOP else None, drawn)

    def _goes_on(self, branch: Branch) -> bool:
        """Whether new tokens belong at the end of the branch's node: a turn that paused, where nobody else stands."""
        tree, node = branch.tree, branch.node
        if tree.nodes[node].kind != Kind.POLICY or not tree.can_extend(node):
            return False
        return not any(other.node == node and other.tree is tree and other is not branch for other in self._states)

    # ------------------------------------------------------------------------------------------------------- forward

    def _forward(self, live: Sequence[_State]) -> tuple[Tensor, list[int]]:
        """Feed what is pending of all live branches; logits behind each, [B, V], and which branch each row is of."""
        runs = [self._own_run(state) for state in live]
        single = [i for i, state in enumerate(live) if len(state.pending) == 1]
        longer = [i for i, state in enumerate(live) if len(state.pending) > 1]
        self.store.reserve(max(run.length + len(state.pending) for run, state in zip(runs, live, strict=True)))
        tips = [runs[i] for i in single]
        if tips != self._arranged_for:  # as long as the same branches decode, only their lengths change
            self._arranged_for, self._arranged = tips, arrange(tips)
        places, stretches, private = self._arranged
        order = [*(single[place] for place in places), *longer]
        counts = [len(live[i].pending) for i in order]
        plan = StepPlan(
            self.store,
            [runs[i] for i in order[: len(single)]],
            stretches,
            [private[place] for place in places],
            [
                Extension(runs[i], end - count, end)
                for i, count, end in zip(order, counts, accumulate(counts), strict=True)
                if count > 1
            ],
        )
        hidden = self._feed([live[i] for i in order], counts, plan)
        last = torch.tensor(list(accumulate(counts)), device=hidden.device) - 1
        logits: Tensor = head(self.model)(hidden[last])
        return logits, order

    def _fill(self, branch: Branch) -> None:
        """Store all but the last token of this branch, and with it of all branches that wait for nothing else."""
        waiting = [self._state(branch)]
        waiting += [state for other, state in self._states.items() if other is not branch and state.request is None]
        waiting = [state for state in waiting if len(state.pending) > 1]
        with torch.inference_mode():
            while waiting:
                counts = [len(state.pending) - 1 for state in waiting]
                ends = list(accumulate(counts))
                several = max(1, sum(end <= _PREFILL_AT_ONCE for end in ends))
                states, waiting = waiting[:several], waiting[several:]
                extensions = []
                for state, count, end in zip(states, counts, ends, strict=False):
                    if not state.is_own:
                        state.run = self.store.new_trunk(state.run, state.fed)
                    else:
                        self.store.reserve(_run(state).length + count)
                    extensions.append(Extension(_run(state), end - count, end))
                self._feed(states, counts[:several], StepPlan(self.store, [], [], [], extensions))

    def _feed(self, states: Sequence[_State], counts: Sequence[int], plan: StepPlan) -> Tensor:
        """Run the first `counts` pending tokens of each branch through the model: hidden states, [sum(counts), W]."""
        if self._weights_version() != self._weights:
            raise RuntimeError(
                "The model's weights changed while branches were open, whose keys and values are of the old weights: "
                "close all branches (close_all) before an optimiser step."
            )
        ids = [token for state, count in zip(states, counts, strict=True) for token in state.pending[:count]]
        depths = [
            depth for state, count in zip(states, counts, strict=True) for depth in range(state.fed, state.fed + count)
        ]
        device = self.model.device
        with attention(self.model, NAME):
            output = backbone(self.model)(
                input_ids=torch.tensor([ids], device=device),
                position_ids=torch.tensor([depths], device=device),
                use_cache=False,
                plan=plan,
            )
        if plan.calls != self.model.config.num_hidden_layers:
            raise ValueError(f"{plan.calls} of {self.model.config.num_hidden_layers} layers used tree attention.")
        for state, count in zip(states, counts, strict=True):
            _run(state).length += count
            state.fed += count
            del state.pending[:count]
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def _own_run(self, state: _State) -> Run:
        if not state.is_own:
            state.run, state.is_own = self.store.new_run(state.run, state.fed), True
        return _run(state)

    def _weights_version(self) -> int:
        """Grows with every change in place, as optimisers make them."""
        return sum(parameter._version for parameter in self._parameters)


def _run(state: _State) -> Run:
    assert state.run is not None
    return state.run


def _request(state: _State) -> _Request:
    assert state.request is not None
    return state.request


def _joined(parts: Sequence[tuple[Drawn, int]]) -> Drawn:
    return Drawn(
        [drawn.tokens[i] for drawn, i in parts],
        [drawn.log_probs[i] for drawn, i in parts],
        [drawn.entropies[i] for drawn, i in parts],
        [drawn.full_log_probs[i] for drawn, i in parts],
        [drawn.full_entropies[i] for drawn, i in parts],
    )
