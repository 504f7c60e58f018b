"""First drafts of datasets, models, feature tables and DAGs: `dp new` writes them, people finish them."""
