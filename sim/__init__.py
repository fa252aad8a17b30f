"""The simulated laboratory: one world (one clock, one optical path) in a process of its own, and the doors to it.

It shares no model with `labonn` and imports nothing of it. `python -m sim BENCH` starts the world of a bench file.
"""
