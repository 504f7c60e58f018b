-- The days on which a window of n days changes are those of the purchases, and n days after them.
{{ config(meta={'reads': {'fct_customer_days': {'due_after_days': [7, 30, 90]}}}) }}
{%- set quantities = {'order_count': 'integer', 'cd_count': 'integer', 'amount_usd': 'numeric(14, 2)'} %}

with customer_days as (
    select * from {{ ref('fct_customer_days') }}
    where {{ in_scope('customer_id') }} and purchased_on <= {{ through_day() }}
),

-- A purchase enters all windows on its day, and leaves a window of n days n days later.
movements as (
    select
        customer_days.*,
        windows.days_after,
        customer_days.purchased_on + windows.days_after as computed_on
    from customer_days
    cross join (values (0), (7), (30), (90)) as windows (days_after)
    where customer_days.purchased_on + windows.days_after <= {{ through_day() }}
),

totals as (
    select
        customer_id,
        computed_on,
        {% for quantity, type in quantities.items() %}
            {% for days in [7, 30, 90] %}
                cast(
                    sum(
                        sum(case days_after when 0 then {{ quantity }} when {{ days }} then -{{ quantity }} end)
                    ) over so_far as {{ type }}
                ) as {{ quantity }}_{{ days }}d,
            {% endfor %}
            cast(
                sum(sum({{ quantity }}) filter (where days_after = 0)) over so_far as {{ type }}
            ) as {{ quantity }}_lifetime,
        {% endfor %}
        min(min(purchased_on)) over so_far as first_purchased_on,
        max(max(purchased_on)) over so_far as last_purchased_on,
        max(max(known_at)) over so_far as purchases_known_at
    from movements
    group by customer_id, computed_on
    window so_far as (partition by customer_id order by computed_on)
),

dated as (
    select
        *,
        (computed_on + 1)::timestamp at time zone 'UTC' as event_at
    from totals
)

select
    customer_id,
    computed_on,
    event_at,
    {% for quantity in quantities %}
        {{ quantity }}_7d,
        {{ quantity }}_30d,
        {{ quantity }}_90d,
        {{ quantity }}_lifetime,
    {% endfor %}
    first_purchased_on::timestamp at time zone 'UTC' as first_purchased_at,
    last_purchased_on::timestamp at time zone 'UTC' as last_purchased_at,
    greatest(purchases_known_at, event_at) as known_at
from dated
