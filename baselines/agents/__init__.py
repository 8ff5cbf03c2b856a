"""Agents that do not train: what a trained one is compared with, on the same environments and in the same tables.

    python -m baselines.agents react --env web --questions 100 --policy tiny
    python -m baselines.agents search-o1 --env web --preset paper --server http://127.0.0.1:8000/v1 --served-model NAME
    python -m baselines.agents list

known.py names them all. Each is an `aepo_env.agent.Agent` and writes through a `writer.Writer`: a policy of ours
(local.py), an OpenAI-compatible server (server.py), or an object of yours. docs/agents.md is the guide.

Left out: training, and scoring by a benchmark's own rule (benchmarks/).
"""
