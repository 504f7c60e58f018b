select
    orders.order_id,
    orders.ordered_on,
    orders.amount * currencies.rate_usd as amount_usd,
    greatest(orders.known_at, currencies.known_at) as known_at
from {{ ref('stg_till__orders') }} as orders
left join {{ ref('stg_till__currencies') }} as currencies using (currency_code)
where {{ in_scope('orders.ordered_on') }}
