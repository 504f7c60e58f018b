-- Values of people that a contract wants kept: encrypted, for the steward, and for the redaction of free text. A record
-- is what one row says of its subject; equal records are kept once, and count as long as a live delivery holds them.
create schema vault;
comment on schema vault is 'Personal values behind tokens and redaction, encrypted under VAULT_KEY; read by role steward';

create table vault.records (
    record bigint primary key,
    dataset text not null,
    subject bigint,
    identifies boolean not null,
    tokens text [] not null,
    sealed bytea not null
);
create index on vault.records (subject);
create index on vault.records using gin (tokens);
comment on table vault.records is 'A row is what a row of a delivery says of its subject';
comment on column vault.records.record is 'Keyed hash of all of it: equal records have equal numbers';
comment on column vault.records.subject is 'Keyed hash of whom it is of; null where the contract names no subject';
comment on column vault.records.identifies is 'Whether its subject is known by it: his texts are redacted by it';
comment on column vault.records.tokens is 'Tokens that are published in place of its values';
comment on column vault.records.sealed is 'Fernet token of its values, each with its column and kind, as JSON';

create table vault.held_records (
    file_id bigint primary key references ops.files,
    ingest_id bigint not null,
    identifies boolean not null,
    records bigint [] not null
);
create index on vault.held_records using gin (records);
comment on table vault.held_records is 'Records that a delivery holds, as it was read last';
comment on column vault.held_records.identifies is 'Whether somebody is known by any of them';

-- The planner takes a few long arrays for a small table, and would read them all for each record.
create function vault.holders(wanted bigint) returns setof bigint
language sql stable set enable_seqscan = off
as 'select file_id from vault.held_records where records @> array[wanted]';
comment on function vault.holders is 'Deliveries that hold a record, by the index';

create view vault.live_records as
select h.file_id, held.record, h.identifies, d.arrived_at
from vault.held_records as h
inner join ops.deliveries as d using (file_id)
cross join lateral unnest(h.records) as held (record)
where d.state = 'live';
comment on view vault.live_records is 'Records that count, once for each delivery that holds them';

create view vault.present_state as
select md5(coalesce(string_agg(h.file_id || ':' || h.ingest_id, ',' order by h.file_id), '')) as state
from vault.held_records as h
inner join ops.deliveries as d using (file_id)
where d.state = 'live' and h.identifies;
comment on view vault.present_state is 'Names what people are known by now: as long as it is the same, so is that';

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

create table ops.redactions (
    file_id bigint primary key references ops.files,
    vault_state text
);
comment on table ops.redactions is 'Deliveries that have such texts';
comment on column ops.redactions.vault_state is
'vault.present_state for which it is known that they are redacted by what counts: nothing needs to be compared again';

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
grant select on ops.file_subjects, ops.redactions, ops.vault_accesses to steward;
grant insert on ops.vault_accesses to steward;
