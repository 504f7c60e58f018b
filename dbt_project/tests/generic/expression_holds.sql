{#
    `expression`, a boolean that is never null, holds for every row; with `max_rows` or `max_percent` for all but so many,
    with `min_rows` for at most all but so many.
#}
{% test expression_holds(model, expression, column_name=none, min_rows=0, max_rows=none, max_percent=none) %}
    {% if max_percent is none and max_rows is none and not min_rows %}
        select *
        from {{ model }}
        where not ({{ expression }})
    {% else %}
        with counted as (
            select
                count(*) as checked,
                count(*) filter (where not ({{ expression }})) as broken
            from {{ model }}
        )

        select *
        from counted
        where
            broken < {{ min_rows }}
            {% if max_rows is not none %}
                or broken > {{ max_rows }}
            {% endif %}
            {% if max_percent is not none %}
                or broken * 100.0 > checked * {{ max_percent }}
            {% endif %}
    {% endif %}
{% endtest %}
