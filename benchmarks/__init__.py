"""Ours beside its peers, in one run; see ``benchmarks.harness`` for how to write a bench."""
