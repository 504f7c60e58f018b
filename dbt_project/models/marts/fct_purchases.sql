with purchases as (
    select * from {{ ref('stg_shop__purchases') }}
    where {{ in_scope('purchased_on') }}
)

select
    row_id as purchase_id,
    customer_id,
    purchased_on,
    cd_count,
    amount_usd,
    amount_usd = 0 as is_gift,
    known_at
from purchases
