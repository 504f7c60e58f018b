"""What each model version reads. A service that a model was trained on never changes: a new set is a new version."""

from __future__ import annotations

from feast import FeatureService

# Modules, not names: Feast would find a view that stands here too twice.
from feature_repo import definitions, on_demand

churn_v1 = FeatureService(
    name="churn_v1",
    features=[
        definitions.VIEWS["ftr_customer__purchases"],
        # Gender and age band are for fairness tests, never inputs.
        definitions.VIEWS["ftr_customer__profile"][["is_deleted", "country", "signed_up_on"]],
        on_demand.customer_recency,
    ],
    description="Inputs of the churn model, version 1.",
)
