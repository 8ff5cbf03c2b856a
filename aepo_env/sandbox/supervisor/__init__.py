"""The box host: a small process of its own, standard library only, that supervises one box of forkable interpreters.

It is started by `aepo_env.sandbox.host_process` as `python -I -S`, with this folder as a top-level package, so nothing
here may import anything of aepo_env but its own neighbours. Read in this order: plan, launch, box, branch, gate, audit.
"""
