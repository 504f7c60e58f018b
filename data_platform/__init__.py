"""The platform's library: contracts, ledger, lake, warehouse, gates, publications. Knows no room above it."""
