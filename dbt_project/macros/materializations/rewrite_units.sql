{#
    What `interval` and `keyed` have in common. For a model X four relations are made in the schema of the build:
    X__scope (the units), X__new (their rows), X (view: published rows outside the scope, and X__new) and X__delta (what
    differs from the published rows). History stays where it is.

    Rows outside the scope, or after the build's last day, are dropped whatever the model yields: a model is right
    without `in_scope`, only slower.
#}
{% macro rewrite_units(sql) %}
    {% set own = contract_of_model() %}
    {% set scope, new = companion('scope'), new_relation() %}
    {% set reads = published_reads() %}
    {% set names = "'" ~ this.schema ~ "', '" ~ own.schema ~ "', '" ~ this.identifier ~ "', '" ~ own.unit_column ~ "'" %}

    {{ run_hooks(pre_hooks) }}
    {# The first statement opens the transaction that `adapter.commit` ends. #}
    {% call statement('drop_built') %}select ops.drop_built('{{ this.schema }}', '{{ this.identifier }}'){% endcall %}
    {% do run_query('create table ' ~ new ~ ' (' ~ column_definitions() ~ ')') %}
    {% do run_query(
        "select ops.create_scope('" ~ this.schema ~ "', '" ~ this.identifier ~ "', '"
        ~ model.columns[own.unit_column].data_type ~ "')") %}

    {% set work = read_work(own, reads) %}
    {% set derived = interval_scope(reads, work) if model.config.materialized == 'interval' else keyed_scope(reads, work) %}
    {% if not work.whole %}
        {% do run_query('insert into ' ~ scope ~ ' ' ~ derived) %}
        {% do run_query('analyze ' ~ scope) %}
        {% do work.update(measure_scope(scope)) %}
    {% endif %}
    {% set fill = fill_new(sql, scope, new, own, work) %}
    {% do write(fill) %}
    {% if work.whole or work.units %}
        {% do run_query(fill) %}
        {% if work.is_published and own.key | length > 1 %}
            {# Who reads X by a few keys finds them in the published rows by an index; the new ones need one too. #}
            {% do run_query('create index on ' ~ new ~ ' (' ~ own.key | join(', ') ~ ')') %}
        {% endif %}
        {% do run_query('analyze ' ~ new) %}
    {% endif %}
    {% if work.whole %}
        {% do run_query(whole_scope(scope, new, own, work, reads, derived)) %}
        {% do run_query('analyze ' ~ scope) %}
    {% endif %}

    {% do run_query('select ops.create_overlay(' ~ names ~ ')') %}
    {% do run_query('select ops.create_delta(' ~ names ~ ", array['" ~ own.key | join("', '") ~ "'])") %}
    {% set target_relation = this.incorporate(type='view') %}
    {% do persist_docs(target_relation, model) %}
    {% set counts = count_work(scope, new, companion('delta')) %}
    {% call noop_statement('main', counts.message, 'REWRITE', counts.changed) %}{{ fill }}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {% do return({'relations': [target_relation]}) %}
{% endmacro %}

{% macro fill_new(sql, scope, new, own, work) %}
    {% set statement %}
        insert into {{ new }} ({{ column_names() }})
        select {{ column_names() }} from (
            {{ resolve_in_scope(sql, scope, work) }}
        ) as built
        where
            built.{{ own.day_column }} <= date '{{ work.through_day }}'
            {% if not work.whole %}
                and built.{{ own.unit_column }} in (select scope.unit from {{ scope }} as scope)
            {% endif %}
    {% endset %}
    {% do return(statement) %}
{% endmacro %}

{# What the contract says of the model: {schema, day_column, unit_column, key}. #}
{% macro contract_of_model() %}
    {% set own = config.get('meta', {}) %}
    {% if not own.get('unit_column') %}
        {% do exceptions.raise_compiler_error(
            'no contract describes ' ~ model.name ~ ': write contracts/**/' ~ model.name
            ~ '.odcs.yaml and run `dp contracts compile`') %}
    {% endif %}
    {% do return(own) %}
{% endmacro %}

{#
    What there is to do: {is_published, whole, through_day, due_from, due_to, has_asked, changed: names of the reads that
    differ, untold: those of them that cannot tell which units}.
    A model is rebuilt whole when its code is new, when nothing of it is published, on --full-refresh, and when
    something that it reads differs and does not tell which of its keys or days that touches.
#}
{% macro read_work(own, reads) %}
    {% set table_name = own.schema ~ '.' ~ model.name %}
    {% set found = run_query(
        "select context.through_day, plan.whole, to_regclass('" ~ table_name
        ~ "') is not null as is_published, plan.due_from, plan.due_to, exists (select from "
        ~ context_table('asked_days') ~ ') as has_asked from ' ~ context_table('run_context') ~ ' as context left join '
        ~ context_table('build_plan') ~ " as plan on plan.table_name = '" ~ table_name ~ "'").rows[0] %}
    {% set work = {
        'is_published': found['is_published'],
        'whole': found['whole'] or should_full_refresh() or not found['is_published'],
        'through_day': found['through_day'], 'due_from': found['due_from'], 'due_to': found['due_to'],
        'has_asked': found['has_asked'], 'changed': [], 'untold': [],
    } %}
    {% for read in reads %}
        {% set days = changed_days(read) %}
        {% if days and run_query('select exists (' ~ days ~ ')').rows[0][0] %}
            {% do work.changed.append(read.name) %}
            {% if not tells_units(own, read) %}
                {% do work.untold.append(read.name) %}
                {% do work.update({'whole': true}) %}
            {% endif %}
        {% endif %}
    {% endfor %}
    {% do return(work) %}
{% endmacro %}

{#
    Whether a differing row tells which units it touches. A row of a reference table does not: it is joined on any day,
    and by any of its columns, perhaps to itself.
#}
{% macro tells_units(own, read) %}
    {% do return(
        not read.is_reference and (model.config.materialized == 'interval' or own.unit_column in read.columns)) %}
{% endmacro %}

{# {units}, and for days also {first_day, last_day, is_contiguous, days}. #}
{% macro measure_scope(scope) %}
    {% if model.config.materialized == 'keyed' %}
        {% do return({'units': run_query('select count(*) from ' ~ scope).rows[0][0]}) %}
    {% endif %}
    {% set found = run_query(
        "select count(*), min(unit), max(unit), max(unit) - min(unit) + 1 = count(*), string_agg(unit::text, ',' order by unit)"
        ~ ' from ' ~ scope).rows[0] %}
    {% do return({
        'units': found[0], 'first_day': found[1], 'last_day': found[2], 'is_contiguous': found[3], 'days': found[4],
    }) %}
{% endmacro %}

{#
    Of a whole rebuild: every unit that has rows, or had, with the dates of what touched it. A change that does not tell
    which units it touches may have touched any.
#}
{% macro whole_scope(scope, new, own, work, reads, derived) %}
    {% set units = 'select ' ~ own.unit_column ~ ' from ' ~ new %}
    {% if not work.is_published %}
        {% do return('insert into ' ~ scope ~ ' (unit) select distinct unit from (' ~ units ~ ') as units (unit)') %}
    {% endif %}
    {% set anywhere = [undated('select 1')] %}
    {% for read in reads if read.name in work.untold %}
        {% do anywhere.append(dates_of_changes(read.delta, '1')) %}
    {% endfor %}
    {% do return(
        'insert into ' ~ scope ~ ' select units.unit, greatest(touched.changed_at, anywhere.changed_at),'
        ~ ' greatest(touched.removed_at, anywhere.removed_at)'
        ~ ' from (' ~ units ~ ' union select ' ~ own.unit_column ~ ' from ' ~ own.schema ~ '.' ~ model.name ~ ') as units (unit)'
        ~ ' left join (' ~ derived ~ ') as touched using (unit)'
        ~ ' cross join (' ~ dated_units(anywhere, 'true') ~ ') as anywhere') %}
{% endmacro %}

{#
    Dates of changes, each {changed_at, removed_at}; what has none touches a unit because of time or a question. A row
    that comes tells of itself in known_at; of one that goes, or is replaced, nothing may tell.
#}
{% macro dates_of_changes(delta, unit) %}
    {% do return(
        'select ' ~ unit ~ ", max(known_at) as changed_at, max(known_at) filter (where op <> 'I') as removed_at from "
        ~ delta ~ ' group by 1') %}
{% endmacro %}

{% macro undated(units) %}
    {% do return('select unit, null::timestamptz as changed_at, null::timestamptz as removed_at from (' ~ units ~ ') as undated (unit)') %}
{% endmacro %}

{# Each unit of these parts once, with its newest dates. #}
{% macro dated_units(parts, condition) %}
    {% do return(
        'select unit, max(changed_at) as changed_at, max(removed_at) as removed_at from ('
        ~ parts | join('\nunion all\n') ~ ') as touched where ' ~ condition ~ ' group by unit') %}
{% endmacro %}

{% macro count_work(scope, new, delta) %}
    {% set found = run_query(
        'select (select count(*) from ' ~ scope ~ '), (select count(*) from ' ~ new ~ '), (select count(*) from ' ~ delta
        ~ " where side = case op when 'D' then 'old' else 'new' end)").rows[0] %}
    {% set units = 'keys' if model.config.materialized == 'keyed' else 'days' %}
    {% do return({
        'changed': found[2],
        'message': found[2] ~ ' changed of ' ~ found[1] ~ ' rows in ' ~ found[0] ~ ' ' ~ units,
    }) %}
{% endmacro %}

{% macro column_names() %}
    {% do return(model.columns.keys() | join(', ')) %}
{% endmacro %}

{# Types as the contract says, for Postgres to cast to. What must hold of the values is the gate's business. #}
{% macro column_definitions() %}
    {% set definitions = [] %}
    {% for column in model.columns.values() %}
        {% do definitions.append(column.name ~ ' ' ~ column.data_type) %}
    {% endfor %}
    {% do return(definitions | join(', ')) %}
{% endmacro %}

{% macro companion(suffix) %}
    {% do return(this.incorporate(path={'identifier': this.identifier ~ '__' ~ suffix})) %}
{% endmacro %}

{% macro relation_exists(relation) %}
    {% do return(run_query("select to_regclass('" ~ relation.include(database=false) ~ "') is not null").rows[0][0]) %}
{% endmacro %}

{% macro new_relation() %}
    {% do return(companion('new')) %}
{% endmacro %}

{% macro context_table(name) %}
    {% do return(this.incorporate(path={'identifier': name})) %}
{% endmacro %}
