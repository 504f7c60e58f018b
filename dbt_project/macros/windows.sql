{#
    How much there was of each quantity in the days up to a day, for every day on which that changes: rows enter all
    windows on their day, and leave a window of n days n days later. For the body of a CTE; one row a customer and day
    with `computed_on`, `<quantity>_<n>d` and `<quantity>_lifetime`, `first_on`, `last_on` and `last_known_at`.

    rows: relation with customer_id, the day, the quantities and known_at
    quantities: name to type
    windows: numbers of days; the model's meta.reads must name them in due_after_days
#}
{% macro totals_in_windows(rows, day, quantities, windows) %}
    select
        customer_id,
        computed_on,
        {% for quantity, type in quantities.items() %}
            {% for days in windows %}
                cast(
                    sum(
                        sum(case days_after when 0 then {{ quantity }} when {{ days }} then -{{ quantity }} end)
                    ) over so_far as {{ type }}
                ) as {{ quantity }}_{{ days }}d,
            {% endfor %}
            cast(
                sum(sum({{ quantity }}) filter (where days_after = 0)) over so_far as {{ type }}
            ) as {{ quantity }}_lifetime,
        {% endfor %}
        min(min({{ day }})) over so_far as first_on,
        max(max({{ day }})) over so_far as last_on,
        max(max(known_at)) over so_far as last_known_at
    from (
        select
            entered.*,
            moves.days_after,
            entered.{{ day }} + moves.days_after as computed_on
        from {{ rows }} as entered
        cross join unnest(array{{ [0] + windows }}) as moves (days_after)
        where entered.{{ day }} + moves.days_after <= {{ through_day() }}
    ) as movements
    group by customer_id, computed_on
    window so_far as (partition by customer_id order by computed_on)
{% endmacro %}
