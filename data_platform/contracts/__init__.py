"""Contracts: one YAML file a dataset (Open Data Contract Standard 3.1), loaded, checked and compiled."""
