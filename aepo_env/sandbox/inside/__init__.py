"""What runs inside the box (agent, files) or in any live interpreter of ours (cells). Standard library only.

This folder is bound read-only into the box and imported there as a top-level package.
"""
