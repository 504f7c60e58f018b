"""Features that move every day by themselves, computed when asked for: stored, they would change every row daily."""

from __future__ import annotations

import pandas as pd
from feast import Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64, UnixTimestamp

from feature_repo.definitions import VIEWS

moment = RequestSource(
    name="moment",
    schema=[Field(name="as_of", dtype=UnixTimestamp)],
    description="The time that features are asked for; in a training set the time of the example.",
)


@on_demand_feature_view(
    sources=[VIEWS["ftr_customer__purchases"][["first_purchased_at", "last_purchased_at"]], moment],
    # Feast compares these with what it infers from the function, which has no descriptions.
    schema=[Field(name="recency_days", dtype=Int64), Field(name="tenure_days", dtype=Int64)],
    mode="pandas",
    description="Whole days from the customer's last purchase (recency) and first one (tenure) to as_of.",
)
def customer_recency(inputs: pd.DataFrame) -> pd.DataFrame:
    """Whole days between purchases and ``as_of``; null where either is missing."""
    # Feast keeps this function in its registry, without the module around it.
    import pandas as pd

    as_of = pd.to_datetime(inputs["as_of"], utc=True)
    outputs = pd.DataFrame(index=inputs.index)
    for feature, moment in (("recency_days", "last_purchased_at"), ("tenure_days", "first_purchased_at")):
        outputs[feature] = (as_of - pd.to_datetime(inputs[moment], utc=True)).dt.days.astype("Int64")
    return outputs
