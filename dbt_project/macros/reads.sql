{# What a model under construction reads, and how far a change of that reaches. #}

{#
    The published relations that a model reads, through views and ephemeral models: a list of
    {name, table_name, relation, delta, day_column, columns, is_reference, look_back_days, next_day, due_after_days}; the
    last three as the model's `meta.reads` says. The schema of `delta` holds it only where something changed.
#}
{% macro published_reads() %}
    {% set nodes = {} %}
    {% do collect_reads(model.depends_on.nodes, nodes) %}
    {% set declared = config.get('meta').get('reads', {}) %}
    {% set reads = [] %}
    {% for node in nodes.values() %}
        {% set reach = {'look_back_days': 0, 'next_day': false, 'due_after_days': []} %}
        {% for option, value in declared.get(node.name, {}).items() %}
            {% if option not in reach %}
                {% do exceptions.raise_compiler_error(
                    "meta.reads: unknown option '" ~ option ~ "'; there are " ~ reach.keys() | join(', ')) %}
            {% endif %}
            {% do reach.update({option: value}) %}
        {% endfor %}
        {% do reads.append({
            'name': node.name,
            'table_name': node.config.meta.schema ~ '.' ~ node.name,
            'relation': api.Relation.create(database=node.database, schema=node.schema, identifier=node.name),
            'delta': api.Relation.create(database=database, schema=schema, identifier=node.name ~ '__delta'),
            'day_column': node.config.meta.day_column,
            'columns': node.columns.keys() | list,
            'is_reference': node.config.meta.get('is_reference', false),
        }) %}
        {% do reads[-1].update(reach) %}
    {% endfor %}
    {% for name in declared if name not in reads | map(attribute='name') %}
        {% do exceptions.raise_compiler_error(
            "meta.reads names '" ~ name ~ "', which the model does not read; it reads "
            ~ reads | map(attribute='name') | join(', ')) %}
    {% endfor %}
    {% do return(reads) %}
{% endmacro %}

{% macro collect_reads(unique_ids, found) %}
    {% for unique_id in unique_ids %}
        {% set node = graph.sources.get(unique_id) or graph.nodes.get(unique_id) %}
        {% if node.resource_type == 'source' or node.config.materialized in ['interval', 'keyed'] %}
            {% do found.update({unique_id: node}) %}
        {% elif node.config.materialized in ['view', 'ephemeral'] %}
            {% do collect_reads(node.depends_on.nodes, found) %}
        {% else %}
            {% do exceptions.raise_compiler_error(
                model.name ~ ' reads ' ~ node.name ~ ', a ' ~ node.config.materialized
                ~ ': nothing tells which of its rows changed. Make it a view, or give it a contract') %}
        {% endif %}
    {% endfor %}
{% endmacro %}
