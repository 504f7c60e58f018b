with changes as (
    select * from {{ ref('dim_customers') }}
    where {{ in_scope('customer_id') }}
),

versions as (
    select
        *,
        lead(valid_from) over changes_of_customer as valid_to,
        min(valid_from) over (partition by customer_id) as first_seen_on,
        row_number() over changes_of_customer - 1 as change_count,
        max(known_at) over (partition by customer_id) as last_known_at
    from changes
    window changes_of_customer as (partition by customer_id order by valid_from)
)

select
    customer_id,
    first_seen_on,
    valid_from,
    change_count,
    email_hash,
    phone_hash,
    age_band,
    gender,
    country,
    signed_up_on,
    last_known_at as known_at
from versions
where valid_to is null and not is_deleted
