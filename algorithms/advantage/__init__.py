"""Advantages: from the rewards of a group of trajectories to one number per trained token. Pure functions on tensors.

    advantage = group_normalised(rewards, questions)                    # [rows]
    advantage = soft(advantage, mask)                                   # [rows, tokens]
    advantage = entropy_aware(advantage, entropy, mask)                 # AEPO

Rows are leaves of token trees, so that a token shared by d leaves counts d times, as it would in flat rows. Nothing
here carries gradient. One idea per file: `group` (GRPO, Dr. GRPO, RLOO), `entropy_aware` (AEPO), `attribution` (ARPO's
soft and hard), `token_returns` (REINFORCE++), `gae` (PPO), `step_groups` (GiGPO), `entropy_modulated` (EMPG),
`whitening`, `overlong` (DAPO's length penalty). `estimators` and `structured` compose them for algorithms, `shaping`
changes rewards before, `filters` choose questions.
"""
