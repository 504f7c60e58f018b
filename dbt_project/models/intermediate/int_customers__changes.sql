-- Each extract compared with the nearest earlier one: who appeared, changed or vanished. An absent row is known as soon
-- as the extract that lacks it. A customer whose row of an extract is in quarantine is as the extract before told.
{% set attributes = ['email_hash', 'phone_hash', 'age_band', 'gender', 'country', 'signed_up_on'] %}
{% set of_present = 'present.' ~ attributes | join(', present.') %}
{% set of_previous = 'previous.' ~ attributes | join(', previous.') %}
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

carried as materialized (
    select distinct on (looked_up.compared_on, earlier.customer_id)
        looked_up.compared_on,
        earlier.*
    from looked_up
    cross join
        lateral ( -- noqa: ST05
            select * from customers
            where
                customers.extract_day = looked_up.extract_day
                and customers.customer_id = coalesce(looked_up.customer_id, customers.customer_id)
                and not exists (
                    select 1 from customers as nearer
                    where nearer.extract_day = looked_up.lacked_on and nearer.customer_id = customers.customer_id
                )
        ) as earlier
    order by looked_up.compared_on asc, earlier.customer_id asc, earlier.extract_day desc
)

select
    compared.extract_day as valid_from,
    told.customer_id,
    told.is_deleted,
    {{ attributes | join(', ') }},
    greatest(
        coalesce(told.known_at, compared.read_at),
        coalesce(told.previous_known_at, compared.previous_read_at)
    ) as known_at
from compared
-- Pair by pair: an index finds an extract, and two of them fit into memory where all together would not.
cross join
    lateral ( -- noqa: ST05
        select
            coalesce(present.customer_id, previous.customer_id) as customer_id,
            present.customer_id is null as is_deleted,
            {{ of_present }},
            present.known_at,
            previous.known_at as previous_known_at
        from (
            select * from customers
            where customers.extract_day = compared.extract_day
        ) as present
        full join (
            select customer_id, {{ attributes | join(', ') }}, known_at from customers
            where extract_day = compared.previous_day
            union all
            select customer_id, {{ attributes | join(', ') }}, known_at from carried
            where compared_on = compared.extract_day
        ) as previous on present.customer_id = previous.customer_id
        where
            present.customer_id is null
            or previous.customer_id is null
            or ({{ of_present }}) is distinct from ({{ of_previous }})
    ) as told
where
    not told.is_deleted
    or not exists (
        select 1 from unknown
        where
            unknown.extract_day = compared.extract_day
            and coalesce(unknown.customer_id = told.customer_id, true)
    )
