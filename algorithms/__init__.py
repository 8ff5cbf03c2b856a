"""Reinforcement learning on the gym: token trees, policies that grow them, and the algorithms that train on them.

Run from a checkout (`pip install -e '.[train]'`); the wheel holds `aepo_env` alone.
"""
