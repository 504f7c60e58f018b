-- The customers' days that were built hold exactly the purchases of their days: a join that drops or multiplies rows
-- shows here.
with built_days as (
    select
        purchased_on,
        sum(order_count) as order_count,
        sum(cd_count) as cd_count,
        sum(amount_usd) as amount_usd
    from {{ built(ref('fct_customer_days')) }}
    group by purchased_on
),

purchases as (
    select
        purchased_on,
        count(*) as order_count,
        sum(cd_count) as cd_count,
        sum(amount_usd) as amount_usd
    from {{ ref('fct_purchases') }}
    where purchased_on = any(array(select built_days.purchased_on from built_days))
    group by purchased_on
)

select *
from built_days
full join purchases on built_days.purchased_on = purchases.purchased_on
where
    (built_days.order_count, built_days.cd_count, built_days.amount_usd)
    is distinct from
    (purchases.order_count, purchases.cd_count, purchases.amount_usd)
