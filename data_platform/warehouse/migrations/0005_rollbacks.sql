-- A rollback is a decision about inputs: it holds the days that a publication's own deliveries wrote at what they were
-- before it. What was built from them follows on the one path, and releasing the hold makes the days stale again.
create table ops.rollbacks (
    publication_id bigint primary key references ops.publications,
    reason text not null,
    decided_at timestamptz not null default clock_timestamp(),
    released_at timestamptz
);
comment on table ops.rollbacks is 'Publications that were rolled back; they are no part of history until released';

create table ops.holds (
    publication_id bigint not null references ops.rollbacks,
    table_name text not null,
    day date not null,
    fingerprint text,
    primary key (publication_id, table_name, day)
);
comment on column ops.holds.fingerprint is 'What the day was published from before the publication; null: it had no row';
grant select on ops.rollbacks, ops.holds to analyst, developer, training, steward;

-- Who asks what a row was before a publication looks for the next image of its key.
create index on ops.before_images (table_name, row_key, publication_id);

create function ops.restore_rows(
    target regclass, published regclass, since bigint, unit_column text, key_columns text[], units text[]
)
returns bigint
language plpgsql
as $$
declare
    table_name text := published::text;
    restored bigint;
begin
    execute format(
        'insert into %1$s (%2$s)
         with image as (
             select distinct on (row_key) row_key, publication_id, before
             from ops.before_images
             where table_name = %3$L and publication_id >= %4$s
             order by row_key, publication_id
         ),
         -- A unit that a publication filled from nothing has no image of each row, and had none before.
         filled as (
             select unit, min(publication_id) as first
             from ops.publication_units
             where table_name = %3$L and publication_id >= %4$s and unit = any(%5$L::text[])
             group by unit
         )
         select %6$s
         from image as i
         cross join lateral jsonb_populate_record(null::%7$s, i.before) as o
         where
             i.before ->> %8$L = any(%5$L::text[])
             and not exists (
                 select from filled as f where f.unit = i.before ->> %8$L and f.first <= i.publication_id)
         union all
         select %6$s
         from %7$s as o
         where
             o.%9$I::text = any(%5$L::text[])
             and not exists (select from filled as f where f.unit = o.%9$I::text)
             and not exists (select from image as i where i.row_key = jsonb_build_object(%10$s))',
        target,
        ops.column_list(target, ''),
        table_name,
        since,
        units,
        ops.column_list(target, 'o.', published),
        published,
        unit_column,
        unit_column,
        (select string_agg(format('%L, o.%I', k, k), ', ') from unnest(key_columns) as k)
    );
    get diagnostics restored = row_count;
    return restored;
end
$$;
comment on function ops.restore_rows is
'Inserts into a table the rows that units of a published one had before a publication, from the before-images of that '
'publication and of all later ones; returns how many';
