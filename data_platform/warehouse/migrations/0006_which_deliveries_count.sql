-- Which deliveries count is derived from what came, what could be read and what was withdrawn. A state that is marked
-- when a file is found is wrong as soon as another file changes.
create table ops.withdrawals (
    file_id bigint primary key references ops.files,
    reason text not null,
    arrived_at timestamptz not null,
    decided_at timestamptz not null default clock_timestamp()
);
comment on table ops.withdrawals is 'Deliveries that no longer count, because somebody or the source''s manifest said so';
comment on column ops.withdrawals.arrived_at is 'When that came, on the business clock: an input like a delivery';

alter table ops.files add column failed_version text;
comment on column ops.files.failed_version is 'Contract and parser with which it could not be read last; null once it can';
comment on column ops.files.input_version is 'Contract and parser of the attempt that counts';
comment on column ops.files.ingest_id is 'The last attempt that could read it; other rows in the lake are invisible';
comment on table ops.files is 'A row is a delivery: a path with a content. ops.deliveries tells which of them count';

insert into ops.withdrawals (file_id, reason, arrived_at)
select file_id, '', arrived_at from ops.files where state = 'withdrawn';
-- What a failed delivery had been read with before was not kept; the next contract reads it again anyway.
update ops.files set failed_version = input_version, input_version = null where state = 'failed';
alter table ops.files drop column state;

create view ops.deliveries as
-- A content is what makes deliveries equal: the bytes, and of an extract its day.
with version as (
    select
        f.*,
        f.ingest_id is not null as is_read,
        w.file_id is not null as is_withdrawn,
        -- Until when a reading counted: until a later version of its path was read, or it was withdrawn.
        coalesce(least(
            min(f.discovered_at) filter (where f.ingest_id is not null) over (
                partition by f.dataset, f.path order by f.file_id rows between 1 following and unbounded following
            ),
            w.decided_at
        ), 'infinity') as counted_until
    from ops.files as f
    left join ops.withdrawals as w using (file_id)
),
-- A delivery that is not read yet says what an equal one said that counted when it came: nothing is lost, and nothing
-- is there twice, while one takes over from the other.
told as (
    select
        v.*,
        v.is_read or v.discovered_at <= max(v.counted_until) filter (where v.is_read) over (
            partition by v.dataset, v.sha256, v.extract_day
        ) as is_told,
        max(v.file_id) filter (where not v.is_withdrawn) over (partition by v.dataset, v.path) as newest
    from version as v
),
of_path as (
    select
        t.*,
        -- A version that cannot be read leaves what its path said before.
        max(t.file_id) filter (where not t.is_withdrawn and t.is_told) over same_path as newest_told,
        max(t.file_id) filter (
            where not t.is_withdrawn and (t.is_read or (t.file_id = t.newest and t.failure is null))
        ) over same_path as wanted
    from told as t
    window same_path as (partition by t.dataset, t.path)
),
of_content as (
    select
        p.*,
        bool_or(p.file_id = p.newest_told) over same_content as is_content_told,
        row_number() over (
            same_content
            order by p.is_read desc, (p.file_id = p.newest_told) desc nulls last, p.counted_until desc, p.ingest_id desc
        ) as preference,
        bool_or(p.file_id = p.wanted and p.is_read) over same_content as is_content_read,
        min(p.file_id) filter (where p.file_id = p.wanted) over same_content as first_wanted
    from of_path as p
    window same_content as (partition by p.dataset, p.sha256, p.extract_day)
)
select
    file_id, dataset, path, sha256, size_bytes, modified_ns, extract_day, arrived_at, discovered_at,
    case
        when is_content_told and is_read and preference = 1 then 'live'
        when is_withdrawn then 'withdrawn'
        when file_id = wanted and not is_read and not is_content_read and file_id = first_wanted then 'new'
        when file_id = wanted then 'duplicate'
        when file_id = newest then 'failed'
        else 'superseded'
    end as state,
    ingest_id, input_version, rows_read, rows_live, rows_quarantined, failure, failed_version
from of_content;
comment on view ops.deliveries is
'ops.files with the state of each: of each path the newest version that can be read counts, of equal contents one';
comment on column ops.deliveries.state is
'live: its rows count. new: waits to be read. duplicate: an equal one counts. superseded: a later version of its path '
'took its place. failed: cannot be read. withdrawn: somebody said that it does not count';
grant select on ops.withdrawals, ops.deliveries to analyst, developer, training, steward;
