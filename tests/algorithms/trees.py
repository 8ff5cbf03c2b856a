"""Random token trees for tests, and the slow, obvious way to read them."""

import random

from algorithms.tree import Kind, TokenTree


def numbers(source: random.Random, count: int) -> tuple[list[float], list[float]]:
    return [-source.random() for _ in range(count)], [source.random() for _ in range(count)]


def policy(tree: TokenTree, parent: int, source: random.Random, count: int, vocabulary: int) -> int:
    tokens = [source.randrange(vocabulary) for _ in range(count)]
    return tree.add(parent, Kind.POLICY, tokens, *numbers(source, count))


def random_tree(seed: int, vocabulary: int = 40, nodes: int = 14, longest: int = 6) -> TokenTree:
    """Ragged, with forks anywhere, nested and duplicate leaves, split nodes, and nodes that no leaf covers."""
    source = random.Random(seed)
    tree = TokenTree(f"random-{seed}", [source.randrange(vocabulary) for _ in range(source.randint(1, longest))])
    for _ in range(source.randint(1, nodes)):
        # Small trees of few nodes fork most at the top; half of the time, grow at the last node instead.
        parent = len(tree.nodes) - 1 if source.random() < 0.5 else source.randrange(len(tree.nodes))
        count = source.randint(1, longest)
        if source.random() < 0.3:
            tree.add(parent, Kind.OBSERVATION, [source.randrange(vocabulary) for _ in range(count)])
        else:
            policy(tree, parent, source, count, vocabulary)
    for _ in range(source.randint(0, 3)):
        node = source.choice(tree.nodes)
        if node.kind != Kind.PROMPT and len(node.tokens) > 1:
            tree.split(node.index, source.randint(1, len(node.tokens) - 1))
    for _ in range(source.randint(1, 8)):
        tree.add_leaf(source.randrange(len(tree.nodes)), "answered", {"total": source.random()})
    return tree


def even_tree(seed: int, lengths: tuple[int, ...], branches: tuple[int, ...], vocabulary: int = 40) -> TokenTree:
    """lengths[level] policy tokens a node, branches[level - 1] nodes below each, observations at every second level."""
    source = random.Random(seed)
    tree = TokenTree(f"even-{seed}", [source.randrange(vocabulary) for _ in range(lengths[0])])
    ends = [tree.root]
    for level, (length, count) in enumerate(zip(lengths[1:], branches, strict=True)):
        if level % 2:
            ends = [tree.add(end, Kind.OBSERVATION, [source.randrange(vocabulary) for _ in range(3)]) for end in ends]
        ends = [policy(tree, end, source, length, vocabulary) for end in ends for _ in range(count)]
    for end in ends:
        tree.add_leaf(end, "answered")
    return tree


def nested_tree() -> TokenTree:
    """A trajectory that is a strict prefix of another, one that occurs twice, one that ends in an observation."""
    tree = TokenTree("nested", [5, 6])
    first = tree.add(tree.root, Kind.POLICY, [7], [-0.5], [0.5])
    second = tree.add(first, Kind.POLICY, [8, 9], [-0.5, -0.1], [0.5, 0.2])
    page = tree.add(first, Kind.OBSERVATION, [1, 2, 3])
    other = tree.add(tree.root, Kind.POLICY, [7, 9], [-0.5, -0.2], [0.5, 0.3])
    for end in (first, second, second, page, other, page):
        tree.add_leaf(end, "answered")
    return tree


def trajectory(tree: TokenTree, leaf: int) -> list[tuple[int, bool, float, float]]:
    """Each token of a leaf: its id, whether the policy wrote it, its log-probability and entropy (0 otherwise)."""
    out = []
    for index in tree.path(tree.leaves[leaf].node):
        node = tree.nodes[index]
        own = node.kind == Kind.POLICY
        nothing = [0.0] * len(node.tokens)
        for row in zip(
            node.tokens, node.log_probs if own else nothing, node.entropies if own else nothing, strict=True
        ):
            out.append((row[0], own, row[1], row[2]))
    return out
