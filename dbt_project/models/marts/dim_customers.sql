{{ config(meta={'reads': {'customers': {'next_day': true}}}) }}

select
    customer_id,
    valid_from,
    is_deleted,
    email_hash,
    phone_hash,
    age_band,
    gender,
    country,
    signed_up_on,
    known_at
from {{ ref('int_customers__changes') }}
