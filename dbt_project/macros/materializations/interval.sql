{# A table whose unit of work is a day: the days in scope are rewritten, all others stay as they are published. #}
{% materialization interval, adapter='postgres' %}
    {% do return(rewrite_units(sql)) %}
{% endmaterialization %}

{#
    Days that differ upstream, as far as that reaches; days that were asked for; and, where a model looks back, days that
    are due: they have rows although nothing happened on them.
#}
{% macro interval_scope(reads, work) %}
    {% set parts = [undated('select asked_days.day as unit from ' ~ context_table('asked_days') ~ ' as asked_days')] %}
    {% if work.due_from and reads | map(attribute='look_back_days') | max %}
        {% do parts.append(undated(due_days(work))) %}
    {% endif %}
    {% for read in reads if read.name in work.changed and read.name not in work.untold %}
        {% set changed = '(' ~ changed_days(read) ~ ') as changed' %}
        {% do parts.append(
            'select changed.day + reach.days, changed.changed_at, changed.removed_at from ' ~ changed
            ~ ' cross join generate_series(0, ' ~ read.look_back_days ~ ') as reach (days)') %}
        {% if read.next_day %}
            {% do parts.append(next_days(read, changed)) %}
        {% endif %}
    {% endfor %}
    {% do return(dated_units(parts, "unit <= date '" ~ work.through_day ~ "'")) %}
{% endmacro %}

{#
    Days with a row that differs: day, changed_at, removed_at. Of a source that is compared from day to day also those
    whose quarantine differs: who is no longer unknown there may be gone, and of that no row tells.
#}
{% macro changed_days(read) %}
    {% set days = [] %}
    {% if relation_exists(read.delta) %}
        {% do days.append(dates_of_changes(read.delta, read.day_column ~ ' as day')) %}
    {% endif %}
    {% if read.next_day %}
        {% do days.append(
            'select day, changed_at, changed_at as removed_at from ' ~ context_table('requarantined_days')
            ~ " where table_name = '" ~ read.table_name ~ "'") %}
    {% endif %}
    {% do return(days | join(' union all ')) %}
{% endmacro %}

{#
    The next day that has rows after each changed one. A key that is unknown there is compared on the day after with what
    it was before, so as long as days have unknown keys the change goes on to the next.
#}
{% macro next_days(read, changed) %}
    {% set next %}
        (select min(later.{{ read.day_column }}) from {{ read.relation }} as later where later.{{ read.day_column }} > {% endset %}
    {% do return(
        'select * from (with recursive touched (day, changed_at, removed_at) as (select '
        ~ next ~ 'changed.day), changed.changed_at, changed.removed_at from ' ~ changed
        ~ ' union select ' ~ next ~ 'touched.day), touched.changed_at, touched.removed_at from touched'
        ~ ' where touched.day in (select unknown.day from ' ~ context_table('unknown_keys')
        ~ " as unknown where unknown.table_name = '" ~ read.table_name ~ "')) select * from touched) as touched") %}
{% endmacro %}

{% macro due_days(work) %}
    {% do return(
        "select day::date as unit from generate_series(date '" ~ work.due_from ~ "', date '" ~ work.due_to
        ~ "', interval '1 day') as due (day)") %}
{% endmacro %}
