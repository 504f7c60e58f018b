"""What the DAG files share: the operator, defaults, the form's fields and the chain of steps."""
