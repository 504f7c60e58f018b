-- A gate that fails because of some input changes rejects these alone: they are held back, and the rest is published.
alter table ops.runs drop constraint runs_state_check;
alter table ops.runs add constraint runs_state_check
check (state in ('open', 'published', 'unchanged', 'failed', 'tried'));
comment on column ops.runs.state is 'tried: a trial that passed the gates; it publishes nothing';

create table ops.rejections (
    dataset text not null,
    day date not null,
    fingerprint text,
    gate text not null check (gate in ('stage', 'build')),
    run_id text not null references ops.runs,
    evidence text not null references ops.runs,
    reason text not null,
    judged_on jsonb not null,
    rejected_at timestamptz not null default clock_timestamp(),
    primary key (dataset, day)
);
comment on table ops.rejections is 'Days whose input change a gate has rejected, until they are published or change';
comment on column ops.rejections.fingerprint is 'Of the inputs that were judged; null where the day was to lose its rows';
comment on column ops.rejections.run_id is 'The run that left the change out, and published the rest';
comment on column ops.rejections.evidence is 'The run whose gate results show what is wrong';
comment on column ops.rejections.judged_on is 'The read-set that the verdict stands on';

grant select on ops.rejections to analyst, developer, training, steward;
