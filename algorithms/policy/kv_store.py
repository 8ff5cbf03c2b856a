"""Keys and values of live paths: one run of positions per branch, shared with every branch forked from it.

    run = store.new_run(parent, start)           # parent: the run it was forked from, or None; takes over its reference
    store.write(layer, rows, offsets, keys, values)
    keys, values = store.read(layer, run, first, last)
    store.release(run)

A run covers the depths from `start` on; what comes before lies in its parent (up to `start`; the parent may go on
beyond, for itself). Forking therefore copies nothing. A run lives as long as a branch or another run refers to it.

Growing runs lie in the rows of one slab per layer, so that all of them are read by one matrix product; runs that will
not grow (prompts) lie in tensors of their own, exactly as long as needed ("trunks").

Left out: paging to disk or between devices.
"""

import torch
from torch import Tensor

_FIRST_ROWS, _FIRST_CAPACITY = 8, 64


class Run:
    """Positions start to start + length of a path. users: branches and runs that refer to it."""

    __slots__ = ("length", "parent", "row", "start", "trunk", "users")

    def __init__(self, parent: "Run | None", start: int, row: int) -> None:
        self.parent, self.start, self.row = parent, start, row
        self.length = 0
        self.users = 1
        self.trunk: list[tuple[Tensor, Tensor]] = []  # per layer, if it is one

    @property
    def end(self) -> int:
        """Depth just behind the last position stored."""
        return self.start + self.length


class KVStore:
    """The keys and values of one model's live paths.

    Args:
        layers, heads, width: of the model's keys (`heads` = num_key_value_heads, `width` = head_dim).
    """

    def __init__(self, layers: int, heads: int, width: int, dtype: torch.dtype, device: torch.device) -> None:
        self.heads, self.width = heads, width
        # Zeros, not whatever memory holds: positions not yet written are multiplied by weights of 0.
        empty = torch.zeros(_FIRST_ROWS, heads, _FIRST_CAPACITY, width, dtype=dtype, device=device)
        self.keys = [empty.clone() for _ in range(layers)]
        self.values = [empty.clone() for _ in range(layers)]
        self._in_rows: list[Run | None] = []  # who lies in which row; None: free
        self._trunks: set[Run] = set()

    @property
    def rows(self) -> int:
        """Rows in use, free ones between them included."""
        return len(self._in_rows)

    @property
    def tokens(self) -> int:
        """Positions stored, each counted once however many branches share it."""
        return sum(run.length for run in (*self._in_rows, *self._trunks) if run is not None)

    def new_run(self, parent: Run | None, start: int) -> Run:
        """An empty run in a row of the slab. The caller's reference to `parent` becomes the run's."""
        row = next((i for i, run in enumerate(self._in_rows) if run is None), len(self._in_rows))
        if row == len(self._in_rows):
            self._in_rows.append(None)
            if row >= self.keys[0].shape[0]:
                self._resize(rows=2 * self.keys[0].shape[0], capacity=self.keys[0].shape[2])
        run = Run(parent, start, row)
        self._in_rows[row] = run
        return run

    def new_trunk(self, parent: Run | None, start: int) -> Run:
        """An empty run that is filled once, by `write_run` for each layer in turn."""
        run = Run(parent, start, -1)
        self._trunks.add(run)
        return run

    def release(self, run: Run | None) -> None:
        """One reference less; with the last, the run's place is free and its parent loses one too."""
        while run is not None:
            run.users -= 1
            if run.users > 0:
                return
            if run.row >= 0:
                self._in_rows[run.row] = None
            else:
                self._trunks.discard(run)
                run.trunk.clear()
            run = run.parent
        while self._in_rows and self._in_rows[-1] is None:
            self._in_rows.pop()
        if not self._in_rows:
            # Memory goes back, and with it anything infinite that a diverged model may have left.
            self._resize(rows=_FIRST_ROWS, capacity=_FIRST_CAPACITY, keep=False)

    def reserve(self, capacity: int) -> None:
        """Make room for runs of `capacity` positions."""
        if capacity > self.keys[0].shape[2]:
            self._resize(rows=self.keys[0].shape[0], capacity=max(capacity, 2 * self.keys[0].shape[2]))

    def compact(self) -> None:
        """Move runs into free rows once less than half of the rows are in use: free ones cost time at every step."""
        used = sum(run is not None for run in self._in_rows)
        if 2 * used >= self.rows:
            return
        free = [row for row in range(used) if self._in_rows[row] is None]
        for row in range(used, self.rows):
            run = self._in_rows[row]
            if run is not None:
                run.row = free.pop(0)
                self._in_rows[run.row] = run
                for slab in (*self.keys, *self.values):
                    slab[run.row, :, : run.length] = slab[row, :, : run.length]
        del self._in_rows[used:]
        room = self.keys[0].shape[0]
        if room > _FIRST_ROWS and used <= room // 4:
            self._resize(rows=max(_FIRST_ROWS, 2 * used), capacity=self.keys[0].shape[2])

    def write(self, layer: int, rows: Tensor, offsets: Tensor, keys: Tensor, values: Tensor) -> None:
        """One position for each of B runs: rows, offsets [B] (position - start), keys and values [B, heads, width]."""
        self.keys[layer][rows, :, offsets] = keys
        self.values[layer][rows, :, offsets] = values

    def write_run(self, layer: int, run: Run, first: int, keys: Tensor, values: Tensor) -> None:
        """Positions from depth `first` on of one run: keys and values [heads, n, width]."""
        if run.row < 0:
            run.trunk.append((keys.clone(), values.clone()))
            return
        here = slice(first - run.start, first - run.start + keys.shape[1])
        self.keys[layer][run.row, :, here] = keys
        self.values[layer][run.row, :, here] = values

    def read(self, layer: int, run: Run, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Keys and values at the depths first to last of a run: two views [heads, last - first, width]."""
        here = slice(first - run.start, last - run.start)
        if run.row < 0:
            keys, values = run.trunk[layer]
            return keys[:, here], values[:, here]
        return self.keys[layer][run.row, :, here], self.values[layer][run.row, :, here]

    def _resize(self, rows: int, capacity: int, keep: bool = True) -> None:
        for slabs in (self.keys, self.values):
            for layer, old in enumerate(slabs):
                new = old.new_zeros(rows, self.heads, capacity, self.width)
                if keep:
                    kept = min(rows, old.shape[0])
                    new[:kept, :, : old.shape[2]] = old[:kept]
                slabs[layer] = new


def path_of(run: Run | None, end: int) -> list[tuple[Run, int, int]]:
    """The stretches (run, first depth, last depth) that make up positions 0 to `end`, from the root on."""
    stretches = []
    while run is not None:
        if end > run.start:
            stretches.append((run, run.start, end))
            end = run.start
        run = run.parent
    return stretches[::-1]
