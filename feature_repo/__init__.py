"""Feast: entities, sources, views and services over what is published."""
