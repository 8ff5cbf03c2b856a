"""Reinforcement learning of language-model agents on the gym `aepo_env`: a short file per algorithm, and its parts."""
