{# For authors of models: what limits a model to its work. Both leave a model right, they only make it quick or exact. #}

{#
    A condition that the rows of the units under construction fulfil, for models and the ephemeral models they read:
    `where {{ in_scope('purchased_on') }}`. The materialisation drops all other rows in any case; with the condition
    Postgres need not read them. It becomes known when the scope is, so it is a mark until then.
#}
{% macro in_scope(column) -%}
    (true /* in_scope({{ column }}) */)
{%- endmacro %}

{# The last day that this build may speak of. #}
{% macro through_day() -%}
    (select run_context.through_day from "{{ model.schema }}".run_context)
{%- endmacro %}

{#
    Keys of which extracts of a source tell nothing, because their rows are in quarantine: day, row_key (jsonb of the
    key's columns). Where row_key is null the key could not be read: it may be any that the extract lacks.
#}
{% macro unknown_keys(dataset) -%}
    (
        select unknown_keys.day, unknown_keys.row_key from "{{ model.schema }}".unknown_keys
        where unknown_keys.table_name = 'raw.{{ dataset }}'
    )
{%- endmacro %}

{# Replaces the marks of in_scope by a condition on `scope`, as Postgres plans it best. #}
{% macro resolve_in_scope(sql, scope, work) %}
    {% set resolved = namespace(sql=sql) %}
    {% for column in modules.re.findall('/[*] in_scope[(]([^)]*)[)] [*]/', sql) | unique %}
        {% set mark = '(true /* in_scope(' ~ column ~ ') */)' %}
        {% set resolved.sql = resolved.sql | replace(mark, scope_condition(column, scope, work)) %}
    {% endfor %}
    {% do return(resolved.sql) %}
{% endmacro %}

{#
    Days stand in the condition themselves, so that the planner estimates well. Keys do not: no subject's id goes into
    a log. As an array from a subquery they reach through views and windows down to an index. In 6.8 million rows that
    takes 0.06 s for 200 keys and 0.4 s for 11,000, where a hash join reads all rows in 1.5 s; beyond some forty
    thousand keys the join is quicker.
#}
{% macro scope_condition(column, scope, work) %}
    {% if work.whole %}
        {% do return('true') %}
    {% elif work.first_day %}
        {% if work.is_contiguous %}
            {% do return(column ~ " between date '" ~ work.first_day ~ "' and date '" ~ work.last_day ~ "'") %}
        {% endif %}
        {% do return(column ~ " = any ('{" ~ work.days ~ "}'::date[])") %}
    {% elif work.units <= 40000 %}
        {% do return(column ~ ' = any (array(select scope.unit from ' ~ scope ~ ' as scope))') %}
    {% endif %}
    {% do return(column ~ ' in (select scope.unit from ' ~ scope ~ ' as scope)') %}
{% endmacro %}
