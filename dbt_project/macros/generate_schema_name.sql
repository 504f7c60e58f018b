{# Everything is built in one schema, the developer's own or the run's; publication takes it from there. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro %}
