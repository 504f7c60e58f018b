with changes as (
    select
        *,
        (valid_from + 1)::timestamp at time zone 'UTC' as event_at
    from {{ ref('dim_customers') }}
    where {{ in_scope('valid_from') }}
)

select
    customer_id,
    valid_from as computed_on,
    event_at,
    is_deleted,
    age_band,
    gender,
    country,
    signed_up_on,
    greatest(known_at, event_at) as known_at
from changes
