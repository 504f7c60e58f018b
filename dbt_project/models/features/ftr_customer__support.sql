{{ config(meta={'reads': {'fct_tickets': {'due_after_days': [30, 90]}}}) }}
{%- set quantities = {'ticket_count': 'integer', 'complaint_count': 'integer'} %}

with tickets as (
    select
        customer_id,
        opened_on,
        1 as ticket_count,
        is_complaint::integer as complaint_count,
        known_at
    from {{ ref('fct_tickets') }}
    where {{ in_scope('customer_id') }} and opened_on <= {{ through_day() }}
),

totals as (
    {{ totals_in_windows('tickets', 'opened_on', quantities, [30, 90]) }}
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
        {{ quantity }}_30d,
        {{ quantity }}_90d,
        {{ quantity }}_lifetime,
    {% endfor %}
    last_on::timestamp at time zone 'UTC' as last_ticket_at,
    greatest(last_known_at, event_at) as known_at
from dated
