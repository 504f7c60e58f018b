create table ops.backfills (
    backfill_id bigint generated always as identity primary key,
    start_day date not null,
    end_day date not null,
    chunk_days integer not null check (chunk_days > 0),
    datasets text[] not null,
    reason text not null default '',
    opened_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    check (end_day > start_day)
);
comment on table ops.backfills is 'Ranges of days that are done again chunk by chunk; one that was stopped goes on';

create table ops.backfill_chunks (
    backfill_id bigint not null references ops.backfills,
    start_day date not null,
    run_id text not null references ops.runs,
    primary key (backfill_id, start_day)
);
comment on table ops.backfill_chunks is 'Chunks that are done, each with the run that published it';

grant select on ops.backfills, ops.backfill_chunks to analyst, developer, training, steward;
