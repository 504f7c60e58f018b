with listed as (
    select * from {{ ref('stg_shop__products') }}
    where {{ in_scope('product_id') }}
),

numbered as (
    select
        *,
        row_number() over (partition by product_id order by extract_day desc) as nth_newest,
        min(extract_day) over (partition by product_id) as first_listed_on,
        max(known_at) over (partition by product_id) as last_known_at
    from listed
)

select
    product_id,
    title,
    artist,
    genre,
    list_price_usd,
    released_on,
    first_listed_on,
    extract_day as last_listed_on,
    last_known_at as known_at
from numbered
where nth_newest = 1
