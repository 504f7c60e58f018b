{# Views run with the rights of who reads them: one owned by the platform must not show what a role may not see. #}
{% macro postgres__create_view_as(relation, sql) %}
    create view {{ relation }} with (security_invoker = true) as (
        {{ sql }}
    );
{% endmacro %}
