-- A row of an extract that stands in quarantine says nothing of its key: neither what it is, nor that it is gone.
alter table quarantine.rows add column row_key jsonb;
comment on column quarantine.rows.row_key is
'Key of the row in its published form, where the dataset is a snapshot and the key could be read';

create table ops.unknown_keys (
    table_name text not null,
    day date not null,
    row_key jsonb,
    publication_id bigint not null references ops.publications
);
create index on ops.unknown_keys (table_name, day);
comment on table ops.unknown_keys is
'Keys of which a published extract tells nothing, because their rows are in quarantine';
comment on column ops.unknown_keys.row_key is 'Null: the key could not be read, so it may be any that the extract lacks';
grant select on ops.unknown_keys to developer, steward;
