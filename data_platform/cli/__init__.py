"""The command line ``dp``."""
