"""Imported once by the parent of forked children: what commands import."""

from data_platform.local.worker import preload

preload()
