"""Compilers: pure functions from a contract to what one engine needs of it."""
