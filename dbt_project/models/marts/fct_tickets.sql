with tickets as (
    select * from {{ ref('stg_shop__tickets') }}
    where {{ in_scope('opened_on') }}
)

select
    ticket_id,
    customer_id,
    opened_at,
    opened_on,
    channel,
    topic,
    topic in ('not_delivered', 'wrong_cd', 'refund') as is_complaint,
    subject,
    body,
    order_bought_on,
    order_amount_usd,
    known_at
from tickets
