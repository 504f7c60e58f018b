"""What each model version reads. A service that a model was trained on never changes: a new set is a new version."""

from __future__ import annotations

from feast import FeatureService

from feature_repo.definitions import VIEWS
from feature_repo.on_demand import customer_recency

churn_v1 = FeatureService(
    name="churn_v1",
    features=[
        VIEWS["ftr_customer__purchases"],
        # Gender and age band are for fairness tests, never inputs.
        VIEWS["ftr_customer__profile"][["is_deleted", "country", "signed_up_on"]],
        customer_recency,
    ],
    description="Inputs of the churn model, version 1.",
)
