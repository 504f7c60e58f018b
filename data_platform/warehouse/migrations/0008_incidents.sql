-- Somebody is told of an incident once, however often the same thing fails: so what they were told of is kept until a
-- later success, or a person, ends it.
create table ops.incidents (
    incident_id bigint generated always as identity primary key,
    incident_key text not null,
    dag text not null,
    step text not null,
    kind text not null,
    severity text not null check (severity in ('error', 'warning')),
    message text not null,
    run_id text not null,
    runbook text not null,
    log_url text not null,
    occurrences integer not null default 1 check (occurrences > 0),
    opened_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    told_at timestamptz,
    resolved_at timestamptz,
    check (last_seen_at >= opened_at)
);
create unique index on ops.incidents (incident_key) where resolved_at is null;
create index on ops.incidents (dag, step) where resolved_at is null;
comment on table ops.incidents is 'Failures of DAGs, each from its first occurrence until it is mended';
comment on column ops.incidents.incident_key is 'Equal for what is the same: DAG, step, kind and what the message says';
comment on column ops.incidents.step is 'Task of the DAG; empty where the run as a whole is late';
comment on column ops.incidents.run_id is 'Airflow''s run in which it was last seen; message and log_url are of it, too';
comment on column ops.incidents.told_at is 'When a channel took the alert; null: the next occurrence tries again';
comment on column ops.incidents.resolved_at is 'When the step succeeded again, or somebody said so; null: open';
grant select on ops.incidents to analyst, developer, training, steward;
