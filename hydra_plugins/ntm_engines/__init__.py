"""Launchers and a sweeper for Hydra, which looks for them in packages of this name alone."""
