-- A row override says what a broken row should read. It binds to the row's raw text, not to a file: equal texts of a
-- dataset (of an extract: of the same day) are interchangeable, so they are numbered, wherever they stand.
alter table quarantine.rows add column raw_digest text;
comment on column quarantine.rows.raw_digest is
'HMAC of the raw text under QUARANTINE_KEY: equal texts have equal ones, and nobody can check a guess without the key';
alter table ops.files add column overrides bigint [] not null default '{}';
comment on column ops.files.overrides is 'Row overrides that its last reading looked at, in order';

create table quarantine.row_overrides (
    override_id bigint generated always as identity primary key,
    dataset text not null,
    extract_day date,
    raw_digest text not null,
    occurrence bigint not null check (occurrence > 0),
    corrected bytea,
    file_id bigint not null references ops.files,
    line bigint not null,
    reason text not null,
    decided_by text not null,
    arrived_at timestamptz not null,
    decided_at timestamptz not null default clock_timestamp()
);
create index on quarantine.row_overrides (dataset, raw_digest, occurrence);
comment on table quarantine.row_overrides is 'What somebody decided about a broken row; the newest decision on it counts';
comment on column quarantine.row_overrides.corrected is
'Fernet token of the text to read instead. Null: the row stays out, and nobody need look at it again';
comment on column quarantine.row_overrides.occurrence is 'Which of the equal broken rows of the dataset and extract day';
comment on column quarantine.row_overrides.file_id is 'Where the row stood when it was decided on, with the line';
comment on column quarantine.row_overrides.arrived_at is
'When the decision came, on the business clock: an input like a delivery';

create table quarantine.revocations (
    override_id bigint primary key references quarantine.row_overrides,
    reason text not null,
    decided_by text not null,
    arrived_at timestamptz not null,
    decided_at timestamptz not null default clock_timestamp()
);
comment on table quarantine.revocations is 'Overrides that somebody has taken back';

create table quarantine.override_results (
    file_id bigint not null references ops.files,
    ingest_id bigint not null,
    override_id bigint not null references quarantine.row_overrides,
    line bigint not null,
    day date,
    rule text,
    column_name text,
    primary key (file_id, ingest_id, override_id),
    check ((day is null) <> (rule is null))
);
create index on quarantine.override_results (override_id);
comment on table quarantine.override_results is 'What became of an override in a reading of a delivery';
comment on column quarantine.override_results.day is 'Day of the live row that it made';
comment on column quarantine.override_results.rule is 'Rule that the corrected text broke too; the row is in quarantine';

create table quarantine.accesses (
    access_id bigint generated always as identity primary key,
    what text not null check (what in ('show', 'export')),
    dataset text not null,
    path text,
    line bigint,
    rows bigint not null,
    reason text not null,
    accessed_by text not null,
    accessed_at timestamptz not null default clock_timestamp()
);
comment on table quarantine.accesses is 'Who has read raw text, and why; append-only';

create function quarantine.refuse_change()
returns trigger
language plpgsql
as $$
begin
    raise exception '% is append-only', tg_table_schema || '.' || tg_table_name;
end
$$;
create trigger append_only
before update or delete or truncate on quarantine.accesses
for each statement execute function quarantine.refuse_change();

create view quarantine.active_overrides as
select newest.*
from (
    select distinct on (dataset, extract_day, raw_digest, occurrence) *
    from quarantine.row_overrides
    order by dataset, extract_day, raw_digest, occurrence, override_id desc
) as newest
where not exists (select from quarantine.revocations as r where r.override_id = newest.override_id);
comment on view quarantine.active_overrides is 'Of each broken row the newest decision, unless it was revoked';

create view quarantine.broken_rows as
with broken as (
    select q.file_id, q.line, q.raw_digest from quarantine.rows as q
    union all
    select r.file_id, r.line, o.raw_digest
    from quarantine.override_results as r
    join ops.files as f using (file_id, ingest_id)
    join quarantine.row_overrides as o using (override_id)
    where r.rule is null
)
select
    d.dataset, d.extract_day, d.file_id, d.path, b.line, b.raw_digest,
    row_number() over (
        partition by d.dataset, d.extract_day, b.raw_digest order by d.arrived_at, d.path, b.line
    ) as occurrence
from broken as b
join ops.deliveries as d using (file_id)
where d.state = 'live' and b.raw_digest is not null;
comment on view quarantine.broken_rows is
'Rows of live deliveries that break a rule unaided, those that an override has put right too; equal texts numbered';

create view quarantine.wanted_overrides as
select b.dataset, b.file_id, b.path, b.line, o.override_id
from quarantine.broken_rows as b
join quarantine.active_overrides as o
    on
        (o.dataset, o.raw_digest, o.occurrence) = (b.dataset, b.raw_digest, b.occurrence)
        and o.extract_day is not distinct from b.extract_day
where o.corrected is not null;
comment on view quarantine.wanted_overrides is 'Overrides to be looked at where a delivery is read, each with its row';

create view quarantine.refixed_deliveries as
with wanted as materialized (
    select file_id, override_id from quarantine.wanted_overrides
),
tried as (
    select file_id, unnest(overrides) as override_id from ops.files where overrides <> '{}'
),
changed as (
    select came.file_id from (table wanted except table tried) as came
    union all
    select gone.file_id
    from (table tried except table wanted) as gone
    join ops.deliveries as d using (file_id)
    where d.state = 'live'
)
select distinct f.dataset, f.file_id, f.path, f.sha256, f.extract_day
from changed
join ops.files as f using (file_id);
comment on view quarantine.refixed_deliveries is
'Live deliveries whose overrides are not those that they were read with: they are to be read again';

grant select on all tables in schema quarantine to steward;
grant insert on quarantine.row_overrides, quarantine.revocations, quarantine.accesses to steward;
