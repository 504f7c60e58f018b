{#
    Outside a run: writes what the step `build` writes for a run, and lays views over what is published and not built
    here yet, so that a single model can be built too. The interval is the last published day, or `--vars '{start:
    YYYY-MM-DD, end: YYYY-MM-DD}'` (the end is not included).
#}
{% macro prepare_development() %}
    {% if not execute or target.name == 'run' %}
        {% do return('') %}
    {% endif %}
    {% set last = run_query('select max(through_day) from ops.published_tables').rows[0][0] %}
    {% if not last %}
        {% do exceptions.raise_compiler_error('nothing is published yet that a model could be built on: run `make demo`') %}
    {% endif %}
    {% set start, end = asked_interval(last) %}
    drop table if exists
        {{ schema }}.run_context, {{ schema }}.asked_days, {{ schema }}.build_plan,
        {{ schema }}.unknown_keys, {{ schema }}.requarantined_days cascade;
    create table {{ schema }}.run_context as select date '{{ last }}' as through_day;
    create table {{ schema }}.asked_days as
    select day::date from generate_series(date '{{ start }}', date '{{ end }}' - 1, interval '1 day') as days (day);
    create table {{ schema }}.unknown_keys as select table_name, day, row_key from ops.unknown_keys;
    create table {{ schema }}.requarantined_days (table_name text, day date, changed_at timestamptz);
    create table {{ schema }}.build_plan (table_name text, whole boolean, due_from date, due_to date);
    {% for node in graph.nodes.values() if node.config.materialized in ['interval', 'keyed'] %}
        {{ show_published(node) }}
    {% endfor %}
    commit;
{% endmacro %}

{# First day and the one after the last. #}
{% macro asked_interval(last) %}
    {% set start, end = var('start', none), var('end', none) %}
    {% if start is none and end is none %}
        {% do return((last, last + modules.datetime.timedelta(days=1))) %}
    {% endif %}
    {% for name, day in {'start': start, 'end': end}.items() %}
        {% if not modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', day | string) %}
            {% do exceptions.raise_compiler_error(
                "vars: " ~ name ~ " is '" ~ day ~ "'; write --vars '{start: YYYY-MM-DD, end: YYYY-MM-DD}', whole days") %}
        {% endif %}
    {% endfor %}
    {% if start | string >= end | string %}
        {% do exceptions.raise_compiler_error(
            'vars: [' ~ start ~ ', ' ~ end ~ ') holds no day: the end must be after the start') %}
    {% endif %}
    {% do return((start, end)) %}
{% endmacro %}

{# Where a model was not built here yet, a view of it as it is published, as far as the role may read it. #}
{% macro show_published(node) %}
    {% set published = node.config.meta.schema ~ '.' ~ node.name %}
    do $show$
    begin
        if to_regclass('{{ node.schema }}.{{ node.name }}__new') is null and to_regclass('{{ published }}') is not null then
            perform ops.drop_built('{{ node.schema }}', '{{ node.name }}');
            execute format(
                'create view {{ node.schema }}.{{ node.name }} with (security_invoker) as select %s from {{ published }} as p',
                ops.column_list('{{ published }}', 'p.', '{{ published }}')
            );
        end if;
    end
    $show$;
{% endmacro %}
