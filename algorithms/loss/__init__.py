"""Policy losses: per-token terms on flat rows, and their sum. Pure functions on tensors; nothing here knows a tree.

    terms = balanced_clip(logp, old_logp, advantage, mask, low=0.2, high=0.2, dual=3.0)
    loss = aggregate(terms.loss, mask, row_weights("token-mean", lengths)[rows])

A row is a trajectory (a leaf of a token tree), a column a token; `mask` is 1 on tokens the policy wrote and trains on.
One idea per file: `terms` (what every loss returns), `regions` (the clip rule all clips share), `clip` (PPO, DAPO),
`balanced_clip` (AEPO), `gradient_preserving` (GPPO, CE-GPPO), `cispo`, `sequence_ratio` (GSPO, RLOO), `reinforce`,
`kl`, `value`, `mismatch` (TIS, IcePop), `covariance` (Clip-Cov, KL-Cov), and `aggregation`.
`surrogates` gives algorithms their losses as values.
"""
