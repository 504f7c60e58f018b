with purchases as (
    select * from {{ ref('fct_purchases') }}
    where {{ in_scope('purchased_on') }}
)

select
    customer_id,
    purchased_on,
    count(*) as order_count,
    count(*) filter (where is_gift) as gift_count,
    sum(cd_count) as cd_count,
    sum(amount_usd) as amount_usd,
    max(known_at) as known_at
from purchases
group by customer_id, purchased_on
