-- The days on which a window of n days changes are those of the purchases, and n days after them.
{{ config(meta={'reads': {'fct_customer_days': {'due_after_days': [7, 30, 90]}}}) }}
{%- set quantities = {'order_count': 'integer', 'cd_count': 'integer', 'amount_usd': 'numeric(14, 2)'} %}

with customer_days as (
    select * from {{ ref('fct_customer_days') }}
    where {{ in_scope('customer_id') }} and purchased_on <= {{ through_day() }}
),

totals as (
    {{ totals_in_windows('customer_days', 'purchased_on', quantities, [7, 30, 90]) }}
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
    first_on::timestamp at time zone 'UTC' as first_purchased_at,
    last_on::timestamp at time zone 'UTC' as last_purchased_at,
    greatest(last_known_at, event_at) as known_at
from dated
