{# A table whose unit of work is a day: the days in scope are rewritten, all others stay as they are published. #}
{% materialization interval, adapter='postgres' %}
    {% do return(rewrite_units(sql)) %}
{% endmaterialization %}

{#
    Days that differ upstream, as far as that reaches; days that were asked for; and, where a model looks back, days that
    are due: they have rows although nothing happened on them.
#}
{% macro interval_scope(reads, work) %}
    {% set parts = ['select asked_days.day as unit from ' ~ context_table('asked_days') ~ ' as asked_days'] %}
    {% if work.due_from and reads | map(attribute='look_back_days') | max %}
        {% do parts.append(due_days(work)) %}
    {% endif %}
    {% for read in reads if read.name in work.changed %}
        {% set changed = '(select distinct ' ~ read.day_column ~ ' as day from ' ~ read.delta ~ ') as changed' %}
        {% do parts.append(
            'select changed.day + reach.days from ' ~ changed
            ~ ' cross join generate_series(0, ' ~ read.look_back_days ~ ') as reach (days)') %}
        {% if read.next_day %}
            {% do parts.append(
                'select (select min(later.' ~ read.day_column ~ ') from ' ~ read.relation ~ ' as later where later.'
                ~ read.day_column ~ ' > changed.day) from ' ~ changed) %}
        {% endif %}
    {% endfor %}
    {% do return(
        'select distinct unit from (' ~ parts | join('\nunion all\n') ~ ") as touched where unit <= date '"
        ~ work.through_day ~ "'") %}
{% endmacro %}

{% macro due_days(work) %}
    {% do return(
        "select day::date as unit from generate_series(date '" ~ work.due_from ~ "', date '" ~ work.due_to
        ~ "', interval '1 day') as due (day)") %}
{% endmacro %}
