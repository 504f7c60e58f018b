-- Each extract compared with the nearest earlier one: who appeared, changed or vanished. An absent row is known as soon
-- as the extract that lacks it.
with customers as not materialized (
    -- Read thrice, each time a few days of it: one copy of all extracts would cost more than the rest.
    select * from {{ ref('stg_shop__customers') }}
),

extracts as (
    select
        extract_day,
        min(known_at) as read_at,
        lag(extract_day) over by_day as previous_day,
        lag(min(known_at)) over by_day as previous_read_at
    from customers
    group by extract_day
    window by_day as (order by extract_day)
),

compared as (
    select * from extracts
    where {{ in_scope('extract_day') }}
),

present as (
    select * from customers
    where {{ in_scope('extract_day') }}
),

previous as (
    select
        compared.extract_day as compared_on,
        customers.*
    from customers
    inner join compared on customers.extract_day = compared.previous_day
    -- An array reaches through the view to its index, where the join does not.
    where customers.extract_day = any(array(select earlier.previous_day from compared as earlier))
)

select
    compared.extract_day as valid_from,
    present.email_hash,
    present.phone_hash,
    present.age_band,
    present.gender,
    present.country,
    present.signed_up_on,
    coalesce(present.customer_id, previous.customer_id) as customer_id,
    present.customer_id is null as is_deleted,
    greatest(
        coalesce(present.known_at, compared.read_at),
        coalesce(previous.known_at, compared.previous_read_at)
    ) as known_at
from present
full join previous on present.customer_id = previous.customer_id and present.extract_day = previous.compared_on
inner join compared on coalesce(present.extract_day, previous.compared_on) = compared.extract_day
where
    present.customer_id is null
    or previous.customer_id is null
    or (
        present.email_hash, present.phone_hash, present.age_band, present.gender, present.country,
        present.signed_up_on
    )
    is distinct from
    (
        previous.email_hash, previous.phone_hash, previous.age_band, previous.gender, previous.country,
        previous.signed_up_on
    )
