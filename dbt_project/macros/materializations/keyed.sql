{# A table whose unit of work is a key: all rows of the keys in scope are rewritten; a key that yields none is deleted. #}
{% materialization keyed, adapter='postgres' %}
    {% do return(rewrite_units(sql)) %}
{% endmaterialization %}

{# Keys of rows that differ upstream; of rows of the days that were asked for; of rows whose time has come. #}
{% macro keyed_scope(reads, work) %}
    {% set key = config.get('meta').unit_column %}
    {% set parts = [undated('select ' ~ key ~ ' as unit from ' ~ new_relation() ~ ' where false')] %}
    {% for read in reads if key in read.columns %}
        {% if read.name in work.changed %}
            {% do parts.append(dates_of_changes(read.delta, key)) %}
        {% endif %}
        {% if work.has_asked %}
            {% do parts.append(undated(keys_of_days(read, key, 'select day from ' ~ context_table('asked_days')))) %}
        {% endif %}
        {% if work.due_from and read.due_after_days %}
            {% set moments = [0] + read.due_after_days | list %}
            {% do parts.append(undated(keys_of_days(
                read, key,
                'select due.unit - moment.days from (' ~ due_days(work) ~ ') as due cross join unnest(array'
                ~ moments ~ ') as moment (days)'))) %}
        {% endif %}
    {% endfor %}
    {% do return(dated_units(parts, 'true')) %}
{% endmacro %}

{% macro keys_of_days(read, key, days) %}
    {% do return(
        'select ' ~ key ~ ' from ' ~ read.relation ~ ' where ' ~ read.day_column ~ ' = any (array(' ~ days ~ '))') %}
{% endmacro %}
