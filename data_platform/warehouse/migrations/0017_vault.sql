-- Values of people that a contract wants kept: encrypted, for the steward, and for the redaction of free text. A record
-- is what one row says of its subject; equal records are kept once, and count as long as a live delivery holds them.
create schema vault;
comment on schema vault is 'Personal values behind tokens and redaction, encrypted under VAULT_KEY; read by role steward';

create table vault.records (
    record bigint primary key,
    dataset text not null,
    subject bigint,
    tokens text [] not null,
    sealed bytea not null
);
create index on vault.records (subject);
create index on vault.records using gin (tokens);
comment on table vault.records is 'A row is what a row of a delivery says of its subject';
comment on column vault.records.record is 'Keyed hash of all of it: equal records have equal numbers';
comment on column vault.records.subject is 'Keyed hash of whom it is of; null where the contract names no subject';
comment on column vault.records.tokens is 'Tokens that are published in place of its values';
comment on column vault.records.sealed is 'Fernet token of its values, each with its column and kind, as JSON';

create table vault.held_records (
    file_id bigint primary key references ops.files,
    ingest_id bigint not null,
    records bigint [] not null
);
comment on table vault.held_records is 'Records that a delivery holds, as it was read last';

create view vault.live_records as
select held.record, min(d.arrived_at) as arrived_at
from vault.held_records as h
inner join ops.deliveries as d using (file_id)
cross join lateral unnest(h.records) as held (record)
where d.state = 'live'
group by held.record;
comment on view vault.live_records is 'Records that count, and when the first delivery came that holds them';

-- Keyed hashes only, so that the ledger may keep them.
create table ops.file_subjects (
    file_id bigint not null references ops.files,
    subject bigint not null,
    known numeric,
    primary key (file_id, subject)
);
create index on ops.file_subjects (subject);
comment on table ops.file_subjects is 'Whom the texts of a delivery speak of that were redacted, as it was read last';
comment on column ops.file_subjects.subject is 'Keyed hash, as vault.records has it';
comment on column ops.file_subjects.known is
'Sum of the records that the texts were redacted by; null where these changed while it was read';

create view ops.outdated_redactions as
with known as materialized (
    select r.subject, sum(r.record) as known
    from vault.records as r
    inner join vault.live_records using (record)
    where r.subject is not null
    group by r.subject
)
select distinct d.dataset, d.file_id, d.path, d.sha256, d.extract_day
from ops.file_subjects as s
inner join ops.deliveries as d using (file_id)
left join known as k using (subject)
where d.state = 'live' and s.known is distinct from coalesce(k.known, 0);
comment on view ops.outdated_redactions is
'Live deliveries that were redacted by other records than count now: they are to be read again';

create table ops.vault_accesses (
    access_id bigint generated always as identity primary key,
    token text not null,
    records bigint not null,
    purpose text not null,
    accessed_by text not null,
    accessed_at timestamptz not null default clock_timestamp()
);
comment on table ops.vault_accesses is 'Who has read what a token stands for, and why; append-only';
create trigger append_only
before update or delete or truncate on ops.vault_accesses
for each statement execute function quarantine.refuse_change();

grant usage on schema vault to steward;
grant select on all tables in schema vault to steward;
grant select on ops.file_subjects, ops.outdated_redactions, ops.vault_accesses to steward;
grant insert on ops.vault_accesses to steward;
