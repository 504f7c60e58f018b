select order_id, ordered_on from {{ source('raw', 'orders') }}
