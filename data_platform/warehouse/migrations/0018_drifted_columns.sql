-- What deliveries hold beside their contract's columns, and which of these they lack, as they were last read.
create table ops.drifted_columns (
    file_id bigint not null references ops.files (file_id),
    change text not null check (change in ('new', 'missing')),
    name text not null,
    inferred_type text,
    rows bigint not null,
    primary key (file_id, change, name)
);
comment on column ops.drifted_columns.name is 'New: as delivered, a way of objects; missing: the contract''s name';
comment on column ops.drifted_columns.inferred_type is 'New: what would hold its values; null when it has none';
comment on column ops.drifted_columns.rows is 'New: live rows that have it; missing: rows of the file';

grant select on ops.drifted_columns to analyst, developer, training, steward;
