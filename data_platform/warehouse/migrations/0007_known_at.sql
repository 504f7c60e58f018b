-- A row that changes could not be known before the change that gave it its present value; one that goes, not before
-- the change that took it away. Rows tell of what they are made of, but not of what is gone. So beside each unit of
-- X__scope stands since when could be known
--   changed_at  the newest change that put the unit in scope: rows that go are known to go since then
--   removed_at  the newest among those that took or replaced a row, of which no row that is left may tell
-- Both are null where nothing but time, code or a question put the unit in scope.
create function ops.create_scope(run_schema text, table_name text, unit_type regtype)
returns void
language plpgsql
as $$
begin
    execute format(
        'create table %I.%I (unit %s, changed_at timestamptz, removed_at timestamptz)',
        run_schema, table_name || '__scope', unit_type
    );
end
$$;
comment on function ops.create_scope is 'Makes X__scope, empty';

create function ops.restored_since(run_schema text)
returns bigint
language sql stable
as $$
    select min(restored.publication_id::bigint)
    from ops.runs
    cross join jsonb_each(plan -> 'stage') as staged (dataset, stage_plan)
    cross join jsonb_each_text(stage_plan -> 'restored') as restored (day, publication_id)
    where run_id = substr(run_schema, length('run_') + 1)
$$;
comment on function ops.restored_since is 'The first publication that a run takes back; null when it takes none back';

create or replace function ops.create_delta(
    run_schema text, published_schema text, table_name text, unit_column text, key_columns text[]
)
returns void
language plpgsql
as $$
declare
    new regclass := format('%I.%I', run_schema, table_name || '__new');
    scope text := format('%I.%I', run_schema, table_name || '__scope');
    delta text := format('%I.%I', run_schema, table_name || '__delta');
    published regclass := to_regclass(format('%I.%I', published_schema, table_name));
    in_scope text := format('exists (select from %s as s where s.unit = p.%I)', scope, unit_column);
    restored_since bigint := ops.restored_since(run_schema);
    is_compared boolean := false;
    differs text;
begin
    if published is not null then
        execute format(
            'select %L or exists (select from %s as p where %s)
                or exists (select from %s where removed_at is not null)',
            restored_since is not null, published, in_scope, scope
        ) into is_compared;
    end if;
    if not is_compared then
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
         select compared.op, d.*, n.known_at as built_known_at
         from (select %3$s from %4$s as p where %5$s) as o
         full join %6$s as n on %7$s
         left join %12$s as s on s.unit = coalesce(n.%13$I, o.%13$I)
         cross join lateral (
             select
                 case
                     when o.%2$I is null then ''I'' when n.%2$I is null then ''D'' when %11$s then ''U'' else ''=''
                 end::char(1)
         ) as compared (op)
         cross join lateral (values (''old'', %8$s), (''new'', %9$s)) as d (side, %10$s)
         where
             -- Of the compared rows alone, so that the few that differ go on to what follows.
             (o.%2$I is null or n.%2$I is null or %11$s or o.known_at is distinct from n.known_at)
             and d.%2$I is not null and (compared.op <> ''='' or d.side = ''new'')',
        delta,
        key_columns[1],
        ops.column_list(new, 'p.', published),
        published,
        in_scope,
        new,
        (select string_agg(format('o.%1$I = n.%1$I', k), ' and ') from unnest(key_columns) as k),
        ops.dated_columns(
            new,
            'o.',
            'case compared.op when ''D'' then greatest(o.known_at, s.changed_at, s.removed_at) else o.known_at end'
        ),
        ops.dated_columns(
            new,
            'n.',
            'case compared.op when ''='' then o.known_at else greatest(n.known_at, o.known_at, s.removed_at) end'
        ),
        ops.column_list(new, ''),
        differs,
        scope,
        unit_column
    );
    if restored_since is not null then
        perform ops.date_restored_rows(delta, published, restored_since, key_columns);
    end if;
    -- What reads X next must find the same dates: an equal row keeps since when it is known.
    execute format(
        'update %1$s as n set known_at = d.known_at from %2$s as d
         where d.side = ''new'' and d.known_at is distinct from d.built_known_at and %3$s',
        new,
        delta,
        (select string_agg(format('n.%1$I = d.%1$I', k), ' and ') from unnest(key_columns) as k)
    );
    execute format('delete from %s where op = ''=''', delta);
    execute format('alter table %s drop column built_known_at', delta);
end
$$;

create function ops.dated_columns(relation regclass, prefix text, known_at text)
returns text
language sql stable
as $$
    select string_agg(
        case attname when 'known_at' then known_at else prefix || quote_ident(attname) end, ', ' order by attnum
    )
    from pg_attribute
    where attrelid = relation and attnum > 0 and not attisdropped
$$;
comment on function ops.dated_columns is
'Columns of a relation in their order, each with a prefix, but for known_at an expression';

create function ops.date_restored_rows(delta text, published regclass, since bigint, key_columns text[])
returns void
language plpgsql
as $$
declare
    own_columns text := (
        select string_agg('%1$s' || quote_ident(attname), ', ' order by attnum)
        from pg_attribute
        where attrelid = published and attnum > 0 and not attisdropped and attname <> 'known_at'
    );
begin
    execute format(
        'update %1$s as d
         set known_at = was.known_at
         from (
             select row_key, (array_agg(before))[1] as before
             from ops.before_images
             where table_name = %2$L and publication_id >= %3$s
             group by row_key having count(*) = 1
         ) as image
         cross join lateral jsonb_populate_record(null::%2$s, image.before) as was
         where
             d.side = ''new'' and d.op in (''I'', ''U'') and image.row_key = jsonb_build_object(%4$s)
             and row(%5$s) is not distinct from row(%6$s)',
        delta,
        published,
        since,
        (select string_agg(format('%L, d.%I', k, k), ', ') from unnest(key_columns) as k),
        format(replace(own_columns, '%1$s', 'd.')),
        format(replace(own_columns, '%1$s', 'was.'))
    );
end
$$;
comment on function ops.date_restored_rows is
'Gives rows of a delta that are again as they were before a publication, touched once since, their date of then';

grant execute on all functions in schema ops to developer;

comment on column ops.publications.read_set is
'Table to its publication, last day, code and contract that this publication was built on';
-- Runs that are under way were opened with less than that: they are rebuilt.
update ops.runs set read_set = '{}'
where state in ('open', 'failed');
