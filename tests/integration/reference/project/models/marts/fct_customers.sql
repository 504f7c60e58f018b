select
    orders.customer_id,
    max(orders.ordered_on) as last_ordered_on,
    sum(orders.amount * currencies.rate_usd) as amount_usd,
    greatest(max(orders.known_at), max(currencies.known_at)) as known_at
from {{ ref('stg_till__orders') }} as orders
left join {{ ref('stg_till__currencies') }} as currencies on orders.currency_code = currencies.currency_code
where {{ in_scope('orders.customer_id') }}
group by orders.customer_id
