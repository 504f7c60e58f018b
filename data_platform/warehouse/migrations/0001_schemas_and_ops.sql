-- What consumers read.
create schema raw;
create schema marts;
create schema features;
create schema online;
-- What the platform keeps for itself.
create schema quarantine;
create schema ops;

comment on schema raw is 'Published rows of the sources, after their gate';
comment on schema marts is 'Published facts and dimensions';
comment on schema features is 'Published features with event time and known_at, and their history';
comment on schema online is 'Feast''s online store';
comment on schema quarantine is 'Rows that broke a rule of their contract; read by role steward';
comment on schema ops is 'Ledger, runs, gate results, publications';

create table ops.files (
    file_id bigint generated always as identity primary key,
    dataset text not null,
    path text not null,
    sha256 text not null,
    size_bytes bigint not null,
    modified_ns bigint not null,
    extract_day date,
    arrived_at timestamptz not null,
    discovered_at timestamptz not null default clock_timestamp(),
    state text not null default 'new'
        check (state in ('new', 'live', 'failed', 'superseded', 'duplicate', 'withdrawn')),
    ingest_id bigint,
    input_version text,
    rows_read bigint,
    rows_live bigint,
    rows_quarantined bigint,
    failure text,
    check (rows_read = rows_live + rows_quarantined)
);
create index on ops.files (dataset, path, file_id desc);
create index on ops.files (dataset, sha256) where state = 'live';
comment on table ops.files is 'A row is a delivery: a path with a content. The newest row of a path is its present version';
comment on column ops.files.ingest_id is 'The attempt whose rows in the lake count; all others are invisible';
comment on column ops.files.input_version is 'Contract and parser with which the delivery was read';
comment on column ops.files.modified_ns is 'With the size: an unchanged file need not be read again to know it';
create sequence ops.ingest_id;

create table ops.file_days (
    file_id bigint not null references ops.files,
    day date not null,
    rows bigint not null,
    digest numeric(38, 0) not null,
    primary key (file_id, day)
);
create index on ops.file_days (day);
comment on column ops.file_days.digest is 'Sum of the first 60 bits of the rows'' content hashes: equal rows give an equal sum, in whatever files they stand';

create table quarantine.rows (
    quarantine_id bigint generated always as identity primary key,
    dataset text not null,
    file_id bigint not null references ops.files,
    line bigint not null,
    rule text not null,
    column_name text,
    raw_text text,
    raw_encrypted bytea,
    quarantined_at timestamptz not null default clock_timestamp(),
    check ((raw_text is null) <> (raw_encrypted is null))
);
create index on quarantine.rows (file_id);
comment on column quarantine.rows.line is 'Line of the file that the record begins on, from 1';
comment on column quarantine.rows.raw_encrypted is 'Fernet token of the raw text, where the dataset has personal columns';

create table ops.runs (
    run_id text primary key,
    kind text not null,
    reason text not null default '',
    asked_start date,
    asked_end date,
    datasets text[],
    through_day date,
    state text not null default 'open' check (state in ('open', 'published', 'unchanged', 'failed')),
    plan jsonb not null default '{}',
    read_set jsonb not null default '{}',
    failure text,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
);

create table ops.run_steps (
    run_id text not null references ops.runs,
    step text not null,
    subject text not null default '',
    state text not null check (state in ('running', 'done', 'failed')),
    rows_read bigint,
    rows_live bigint,
    rows_quarantined bigint,
    rows_changed bigint,
    verdict text check (verdict in ('passed', 'warned', 'failed')),
    message text not null default '',
    started_at timestamptz not null default clock_timestamp(),
    seconds numeric(12, 3),
    primary key (run_id, step, subject)
);

create table ops.gate_results (
    run_id text not null references ops.runs,
    gate text not null check (gate in ('ingest', 'stage', 'build')),
    relation text not null,
    rule_id text not null,
    severity text not null check (severity in ('error', 'warning')),
    passed boolean not null,
    rows_checked bigint not null,
    observed text,
    expected text not null,
    reason text not null,
    examples jsonb not null default '[]',
    checked_at timestamptz not null default clock_timestamp(),
    primary key (run_id, gate, relation, rule_id)
);
comment on column ops.gate_results.examples is 'Rows that break the rule; values of personal columns masked';

create table ops.publications (
    publication_id bigint generated always as identity primary key,
    run_id text not null references ops.runs,
    through_day date not null,
    read_set jsonb not null,
    input_files jsonb not null,
    published_at timestamptz not null default clock_timestamp()
);
comment on column ops.publications.read_set is 'Table to the publication whose state this one was built on';
comment on column ops.publications.input_files is 'Dataset to the [file_id, ingest_id] pairs whose rows it brought';

create table ops.publication_tables (
    publication_id bigint not null references ops.publications,
    table_name text not null,
    inserted bigint not null,
    updated bigint not null,
    deleted bigint not null,
    rows_after bigint not null,
    sums_after jsonb not null,
    primary key (publication_id, table_name)
);
comment on column ops.publication_tables.sums_after is 'Column to the sum of its values, numeric columns only';

create table ops.publication_units (
    publication_id bigint not null references ops.publications,
    table_name text not null,
    unit text not null,
    primary key (publication_id, table_name, unit)
);
comment on table ops.publication_units is 'Days or keys that had no row before the publication: undoing it empties them';

create table ops.before_images (
    publication_id bigint not null references ops.publications,
    table_name text not null,
    op char(1) not null check (op in ('I', 'U', 'D')),
    row_key jsonb not null,
    before jsonb,
    check ((op = 'I') = (before is null))
);
create index on ops.before_images (publication_id, table_name);

create table ops.published_tables (
    table_name text primary key,
    publication_id bigint not null references ops.publications,
    code_hash text not null,
    through_day date not null,
    rows bigint not null,
    sums jsonb not null
);

create table ops.published_days (
    table_name text not null,
    day date not null,
    fingerprint text not null,
    publication_id bigint not null references ops.publications,
    primary key (table_name, day)
);
comment on column ops.published_days.fingerprint is 'Input version, rows and digest of the deliveries that the day was published from';

create table ops.contracts (
    dataset text primary key,
    contract_hash text not null,
    document jsonb not null,
    publication_id bigint not null references ops.publications
);

create table ops.exports (
    publication_id bigint not null references ops.publications,
    target text not null,
    state text not null default 'waiting' check (state in ('waiting', 'done')),
    finished_at timestamptz,
    primary key (publication_id, target)
);
comment on table ops.exports is 'The outbox: what must follow a publication outside its transaction';

grant usage on schema raw, marts, ops to analyst, developer, training, steward;
grant usage on schema features to analyst, developer, serving, training, steward;
grant usage on schema online to serving, developer;
grant usage on schema quarantine to steward;
grant select on all tables in schema ops to analyst, developer, training, steward;
grant select on all tables in schema quarantine to steward;
-- Before-images and examples may hold columns that not everybody sees.
revoke select on ops.before_images, ops.gate_results from analyst, developer, training;
