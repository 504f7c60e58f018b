{#
    The body of a staging model `stg_<source>__<dataset>`: the columns of the dataset's contract, under their names.
    Columns that the building role may not read are null: a developer builds on what the contract lets developers see.
#}
{% macro stage_from_contract() %}
    {%- set source_name, dataset = model.name.removeprefix('stg_').split('__') -%}
    {%- set relation = source(source_name, dataset) -%}
    select
        {% for column in readable_columns(source_name, dataset, relation) -%}
            {{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ relation }}
{%- endmacro %}

{# Select list over a source: its contract's columns, typed nulls for those that the role may not read. #}
{% macro readable_columns(source_name, dataset, relation) %}
    {% if not execute %}
        {% do return(['*']) %}
    {% endif %}
    {% set source_node = graph.sources['source.' ~ project_name ~ '.' ~ source_name ~ '.' ~ dataset] %}
    {% set readable = run_query(
        "select attname from pg_attribute where attrelid = to_regclass('" ~ relation.include(database=false)
        ~ "') and attnum > 0 and has_column_privilege(attrelid, attnum, 'select')").columns[0].values() %}
    {% set columns = [] %}
    {% for column in source_node.columns.values() %}
        {% do columns.append(
            column.name if column.name in readable else 'null::' ~ column.data_type ~ ' as ' ~ column.name) %}
    {% endfor %}
    {% do return(columns) %}
{% endmacro %}
