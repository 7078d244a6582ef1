"""A page, `machine.html`, in which a trained machine runs: one file, no server, no network."""

from runner.reporting.show.page import PAGE, page_of

__all__ = ["PAGE", "page_of"]
