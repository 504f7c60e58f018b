{#
    What a generic test looks at: the rows that were built, since all others passed when they were published. Cost
    follows change. `--full-refresh` builds, and so tests, all rows.

    Of a source, which nothing here builds, it looks at the days that were asked for.
#}
{% macro get_where_subquery(relation) %}
    {% do return(built(relation, config.get('where'))) %}
{% endmacro %}

{# The rows of a relation that this build made; for singular tests `{{ built(ref('x')) }}`. #}
{% macro built(relation, condition=none) %}
    {% set conditions = [condition] if condition else [] %}
    {% set columns = '*' %}
    {% set rows_of = relation %}
    {% if execute %}
        {% set new = relation.incorporate(path={'identifier': relation.identifier ~ '__new'}) %}
        {% set tested = source_of(relation) %}
        {% if tested %}
            {% set columns = readable_columns(tested.source_name, tested.name, relation) | join(', ') %}
            {% if not should_full_refresh() %}
                {% set context = api.Relation.create(schema=schema, identifier='asked_days') %}
                {% do conditions.append(
                    tested.config.meta.day_column ~ ' = any (array(select day from ' ~ context ~ '))') %}
            {% endif %}
        {% elif relation_exists(new) %}
            {% set rows_of = new %}
        {% endif %}
    {% endif %}
    {% set where = ' where ' ~ conditions | join(' and ') if conditions else '' %}
    {% do return('(select ' ~ columns ~ ' from ' ~ rows_of ~ where ~ ') as built') %}
{% endmacro %}

{# The source that a relation is, or none. #}
{% macro source_of(relation) %}
    {% for node in graph.sources.values() if node.schema == relation.schema and node.name == relation.identifier %}
        {% do return(node) %}
    {% endfor %}
    {% do return(none) %}
{% endmacro %}
