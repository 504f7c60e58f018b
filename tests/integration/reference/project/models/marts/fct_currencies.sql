select
    orders.currency_code,
    max(orders.ordered_on) as last_ordered_on,
    sum(orders.amount * currencies.rate_usd) as amount_usd,
    max(pegs.rate_usd) as peg_rate_usd,
    greatest(max(orders.known_at), max(currencies.known_at), max(pegs.known_at)) as known_at
from {{ ref('stg_till__orders') }} as orders
left join {{ ref('stg_till__currencies') }} as currencies on orders.currency_code = currencies.currency_code
left join {{ ref('stg_till__currencies') }} as pegs on currencies.pegged_to = pegs.currency_code
where {{ in_scope('orders.currency_code') }}
group by orders.currency_code
