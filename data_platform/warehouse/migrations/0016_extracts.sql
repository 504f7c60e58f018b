-- What was taken out of tables of other databases: which days as they stood, and how far the cursor has come.
create table ops.extracts (
    dataset text primary key,
    cursor_value text,
    compared_at timestamptz not null
);
comment on column ops.extracts.cursor_value is 'Largest value of the cursor column that has been seen';
comment on column ops.extracts.compared_at is 'When all days were last compared, which is how deleted rows are found';

create table ops.extracted_days (
    dataset text not null,
    day date,
    rows bigint not null,
    digest numeric not null,
    unique nulls not distinct (dataset, day)
);
comment on table ops.extracted_days is 'Days of a table as they were last written into landing; null: rows without a day';

grant select on ops.extracts, ops.extracted_days to analyst, developer, training, steward;
