-- A table X under construction stands in a schema that nobody reads, as four relations:
--   X__scope  the units (days or keys) that are rewritten
--   X__new    their rows
--   X         published rows outside the scope, and X__new: what X will be once published
--   X__delta  what differs, row by row: op (I, U, D), side (old, new), and the row
-- Spark's staging and dbt's materialisations both make X and X__delta by these functions.

create function ops.column_list(relation regclass, prefix text, readable_in regclass default null)
returns text
language sql stable
as $$
    select string_agg(
        case
            when readable_in is null or has_column_privilege(readable_in, there.attnum, 'select')
                then prefix || quote_ident(wanted.attname)
            else format('null::%s as %I', format_type(wanted.atttypid, wanted.atttypmod), wanted.attname)
        end,
        ', ' order by wanted.attnum
    )
    from pg_attribute as wanted
    left join pg_attribute as there
        on readable_in = there.attrelid and wanted.attname = there.attname and there.attnum > 0
    where relation = wanted.attrelid and wanted.attnum > 0 and not wanted.attisdropped
$$;
comment on function ops.column_list is
'Columns of a relation in their order, each with a prefix like ''o.''. Selected from another relation, those that it '
'lacks or that the role may not read there are null: a developer builds on what the contracts let developers read';

create function ops.drop_built(run_schema text, table_name text)
returns void
language plpgsql
as $$
declare
    relation record;
begin
    for relation in
        select oid::regclass as name, case relkind when 'v' then 'view' else 'table' end as kind
        from pg_class
        where
            relnamespace = to_regnamespace(quote_ident(run_schema)) and relkind in ('r', 'v')
            and relname in (table_name, table_name || '__delta', table_name || '__new', table_name || '__scope')
        -- Views first: they stand on the tables.
        order by relkind desc
    loop
        if to_regclass(relation.name::text) is not null then
            execute format('drop %s %s cascade', relation.kind, relation.name);
        end if;
    end loop;
end
$$;
comment on function ops.drop_built is 'Drops X and its companions: what an earlier attempt left';

create function ops.create_overlay(run_schema text, published_schema text, table_name text, unit_column text)
returns void
language plpgsql
as $$
declare
    new regclass := format('%I.%I', run_schema, table_name || '__new');
    published regclass := to_regclass(format('%I.%I', published_schema, table_name));
    from_published text := '';
begin
    if published is not null then
        from_published := format(
            'select %s from %s as p where not exists (select from %I.%I as s where s.unit = p.%I) union all ',
            ops.column_list(new, 'p.', published), published, run_schema, table_name || '__scope', unit_column
        );
    end if;
    execute format(
        'create view %I.%I with (security_invoker) as %sselect %s from %s as n',
        run_schema, table_name, from_published, ops.column_list(new, 'n.'), new
    );
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
    new regclass := format('%I.%I', run_schema, table_name || '__new');
    delta text := format('%I.%I', run_schema, table_name || '__delta');
    published regclass := to_regclass(format('%I.%I', published_schema, table_name));
    in_scope text := format(
        'exists (select from %I.%I as s where s.unit = p.%I)', run_schema, table_name || '__scope', unit_column
    );
    anything_published boolean := false;
    differs text;
begin
    if published is not null then
        execute format('select exists (select from %s as p where %s)', published, in_scope) into anything_published;
    end if;
    if not anything_published then
        -- Nothing to compare with: every row is new, and need not be copied to say so.
        execute format(
            'create view %s with (security_invoker) as
             select ''I''::char(1) as op, ''new''::text as side, %s from %s as n',
            delta, ops.column_list(new, 'n.'), new
        );
        return;
    end if;
    -- known_at tells when a value could be known; it does not make a row another row.
    select coalesce(string_agg(format('o.%1$I is distinct from n.%1$I', attname), ' or '), 'false')
    into differs
    from pg_attribute
    where
        attrelid = new and attnum > 0 and not attisdropped
        and attname <> 'known_at' and attname <> all (key_columns);
    execute format(
        'create table %1$s as
         select
             case when o.%2$I is null then ''I'' when n.%2$I is null then ''D'' else ''U'' end::char(1) as op, d.*
         from (select %3$s from %4$s as p where %5$s) as o
         full join %6$s as n on %7$s
         cross join lateral (values (''old'', %8$s), (''new'', %9$s)) as d (side, %10$s)
         where (o.%2$I is null or n.%2$I is null or %11$s) and d.%2$I is not null',
        delta,
        key_columns[1],
        ops.column_list(new, 'p.', published),
        published,
        in_scope,
        new,
        (select string_agg(format('o.%1$I = n.%1$I', k), ' and ') from unnest(key_columns) as k),
        ops.column_list(new, 'o.'),
        ops.column_list(new, 'n.'),
        ops.column_list(new, ''),
        differs
    );
end
$$;
comment on function ops.create_delta is 'Makes X__delta; a view when nothing is published in the scope';

grant execute on all functions in schema ops to developer;
