{{ config(meta={'reads': {'fct_customer_web_days': {'due_after_days': [7, 30]}}}) }}
{%- set quantities = {'visit_count': 'integer', 'product_view_count': 'integer', 'cart_count': 'integer'} %}

with customer_days as (
    select * from {{ ref('fct_customer_web_days') }}
    where {{ in_scope('customer_id') }} and happened_on <= {{ through_day() }}
),

totals as (
    {{ totals_in_windows('customer_days', 'happened_on', quantities, [7, 30]) }}
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
        {{ quantity }}_lifetime,
    {% endfor %}
    last_on::timestamp at time zone 'UTC' as last_seen_at,
    greatest(last_known_at, event_at) as known_at
from dated
