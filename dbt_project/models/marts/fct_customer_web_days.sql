with events as (
    select * from {{ ref('stg_shop__web_events') }}
    where {{ in_scope('happened_on') }} and customer_id is not null
)

select
    customer_id,
    happened_on,
    count(distinct visit_id) as visit_count,
    count(*) filter (where event_type = 'page_view') as page_view_count,
    count(*) filter (where event_type = 'product_view') as product_view_count,
    count(*) filter (where event_type = 'add_to_cart') as cart_count,
    count(*) filter (where event_type = 'checkout') as checkout_count,
    max(known_at) as known_at
from events
group by customer_id, happened_on
