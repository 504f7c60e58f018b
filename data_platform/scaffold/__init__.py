"""First drafts: what a new dataset, model, feature table or DAG begins with. `dp new` writes them, people finish them."""
