{# The relation, or each value of its column `per`, has at least `minimum` and at most `maximum` rows. #}
{% test row_count_between(model, minimum=none, maximum=none, per=none) %}
    select
        {% if per %}
            {{ per }},
        {% endif %}
        count(*) as row_count
    from {{ model }}
    {% if per %}
        group by {{ per }}
    {% endif %}
    having
        count(*) < {{ minimum if minimum is not none else 0 }}
        {% if maximum is not none %}
            or count(*) > {{ maximum }}
        {% endif %}
{% endtest %}
