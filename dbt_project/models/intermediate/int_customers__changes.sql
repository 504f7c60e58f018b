-- Each extract compared with the nearest earlier one: who appeared, changed or vanished. An absent row is known as soon
-- as the extract that lacks it. A customer whose row of an extract is in quarantine is as the extract before told.
with recursive customers as not materialized (
    -- Read a few times, each time a few days of it: one copy of all extracts would cost more than the rest.
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

unknown as (
    -- Without a customer: one whose number could not be read, and so may be anybody whom the extract lacks.
    select
        extract_day,
        row_key ->> 'customer_id' as customer_id
    from {{ unknown_keys('customers') }} as quarantined (extract_day, row_key)
),

compared as (
    select * from extracts
    where {{ in_scope('extract_day') }}
),

present as (
    select * from customers
    where {{ in_scope('extract_day') }}
),

looked_up as (
    -- Who is unknown in the extract before is looked up in the one before that, and so on.
    select
        compared.extract_day as compared_on,
        compared.previous_day as lacked_on,
        extracts.previous_day as extract_day,
        unknown.customer_id
    from compared
    inner join extracts on compared.previous_day = extracts.extract_day
    inner join unknown on compared.previous_day = unknown.extract_day
    union
    select
        looked_up.compared_on,
        looked_up.lacked_on,
        extracts.previous_day as extract_day,
        coalesce(looked_up.customer_id, unknown.customer_id) as customer_id
    from looked_up
    inner join extracts on looked_up.extract_day = extracts.extract_day
    inner join unknown
        on
            looked_up.extract_day = unknown.extract_day
            and coalesce(looked_up.customer_id = unknown.customer_id, true)
),

carried as (
    select distinct on (looked_up.compared_on, customers.customer_id)
        looked_up.compared_on,
        customers.*
    from customers
    inner join looked_up
        on
            customers.extract_day = looked_up.extract_day
            and customers.customer_id = coalesce(looked_up.customer_id, customers.customer_id)
    where
        customers.extract_day = any(array(select earlier.extract_day from looked_up as earlier))
        and not exists (
            select 1 from customers as nearer
            where nearer.extract_day = looked_up.lacked_on and nearer.customer_id = customers.customer_id
        )
    order by looked_up.compared_on asc, customers.customer_id asc, customers.extract_day desc
),

previous as (
    select
        compared.extract_day as compared_on,
        customers.*
    from customers
    inner join compared on customers.extract_day = compared.previous_day
    -- An array reaches through the view to its index, where the join does not.
    where customers.extract_day = any(array(select earlier.previous_day from compared as earlier))
    union all
    select * from carried
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
    (
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
    )
    and (
        present.customer_id is not null
        or not exists (
            select 1 from unknown
            where
                unknown.extract_day = compared.extract_day
                and coalesce(unknown.customer_id = previous.customer_id, true)
        )
    )
