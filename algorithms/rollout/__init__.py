"""Growing token trees: where trajectories start and where they fork.

`grow.grow` plays tasks under a strategy: `independent.Independent` (GRPO and most), `arpo.EntropyBranching`,
`aepo.EntropyBalanced`, `tree_search.RandomExpansion` (Tree-GRPO). `branching` holds the decision rules, which are pure;
`records` what a rollout reports. Rollouts are given an engine and never import one.
"""
