-- A table X under construction stands in a schema that nobody reads, as four relations:
--   X__scope  the units (days or keys) that are rewritten
--   X__new    their rows
--   X         published rows outside the scope, and X__new: what X will be once published
--   X__delta  what differs, row by row: op (I, U, D), side (old, new), and the row
-- Spark's staging and dbt's materialisations both make X and X__delta by these functions.

create function ops.column_list(schema_name text, table_name text, prefix text default '')
returns text
language sql stable
as $$
    select string_agg(prefix || quote_ident(attname), ', ' order by attnum)
    from pg_attribute
    where attrelid = to_regclass(format('%I.%I', schema_name, table_name)) and attnum > 0 and not attisdropped
$$;
comment on function ops.column_list is 'Columns of a relation in their order, each with a prefix like ''o.''; null when there is no such relation';

create function ops.create_overlay(run_schema text, published_schema text, table_name text, unit_column text)
returns void
language plpgsql
as $$
declare
    columns text := ops.column_list(run_schema, table_name || '__new');
begin
    if to_regclass(format('%I.%I', published_schema, table_name)) is null then
        execute format(
            'create or replace view %1$I.%2$I with (security_invoker) as select %3$s from %1$I.%4$I',
            run_schema, table_name, columns, table_name || '__new'
        );
    else
        execute format(
            'create or replace view %1$I.%2$I with (security_invoker) as
             select %3$s from %5$I.%2$I as p
             where not exists (select from %1$I.%6$I as s where s.unit = p.%7$I)
             union all
             select %3$s from %1$I.%4$I',
            run_schema, table_name, columns, table_name || '__new', published_schema, table_name || '__scope', unit_column
        );
    end if;
end
$$;
comment on function ops.create_overlay is 'Makes the view X over the published X, X__scope and X__new';

create function ops.create_delta(
    run_schema text, published_schema text, table_name text, unit_column text, key_columns text[]
)
returns void
language plpgsql
as $$
declare
    columns text := ops.column_list(run_schema, table_name || '__new');
    published regclass := to_regclass(format('%I.%I', published_schema, table_name));
    anything_published boolean := false;
    keys text := (select string_agg(quote_ident(k), ', ') from unnest(key_columns) as k);
    first_key text := quote_ident(key_columns[1]);
    differs text;
begin
    if published is not null then
        execute format(
            'select exists (select from %s as p where exists (select from %I.%I as s where s.unit = p.%I))',
            published, run_schema, table_name || '__scope', unit_column
        ) into anything_published;
    end if;
    if not anything_published then
        -- Nothing to compare with: every row is new, and need not be copied to say so.
        execute format(
            'create view %1$I.%2$I with (security_invoker) as
             select ''I''::char(1) as op, ''new''::text as side, %3$s from %1$I.%4$I',
            run_schema, table_name || '__delta', columns, table_name || '__new'
        );
        return;
    end if;
    -- known_at tells when a value could be known; it does not make a row another row.
    select string_agg(format('o.%1$I is distinct from n.%1$I', attname), ' or ')
    into differs
    from pg_attribute
    where
        attrelid = to_regclass(format('%I.%I', run_schema, table_name || '__new'))
        and attnum > 0 and not attisdropped and attname <> 'known_at' and attname <> all (key_columns);
    execute format(
        'create table %1$I.%2$I as
         with old as (
             select p.* from %3$s as p where exists (select from %1$I.%4$I as s where s.unit = p.%5$I)
         ),
         gone_or_changed as (
             select
                 case when n.%6$s is null then ''D'' else ''U'' end::char(1) as op,
                 ''old''::text as side, %7$s
             from old as o
             left join %1$I.%8$I as n using (%9$s)
             where n.%6$s is null or %10$s
         ),
         come_or_changed as (
             select
                 case when o.%6$s is null then ''I'' else ''U'' end::char(1) as op,
                 ''new''::text as side, %11$s
             from %1$I.%8$I as n
             left join old as o using (%9$s)
             where o.%6$s is null or %10$s
         )
         select * from gone_or_changed
         union all
         select * from come_or_changed',
        run_schema, table_name || '__delta', published, table_name || '__scope', unit_column,
        first_key, ops.column_list(run_schema, table_name || '__new', 'o.'), table_name || '__new', keys,
        coalesce(differs, 'false'), ops.column_list(run_schema, table_name || '__new', 'n.')
    );
end
$$;
comment on function ops.create_delta is 'Makes X__delta; a view when nothing is published in the scope';

grant execute on all functions in schema ops to developer;
