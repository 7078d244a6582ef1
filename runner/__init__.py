"""From a composed configuration to a finished run directory.

Joins Hydra with the packages `ntm`, `controllers` and `tasks`, which know nothing of each other.
"""
