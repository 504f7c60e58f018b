"""Spark jobs: landed files into the lake, the lake into staging."""
