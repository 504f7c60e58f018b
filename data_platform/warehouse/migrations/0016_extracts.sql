-- What was taken out of tables of other databases: which days as they stood, and how far the cursor has come.
create table ops.extracts (
    dataset text primary key,
    cursor_value text,
    compared_at timestamptz not null,
    shape text not null,
    failure text
);
comment on column ops.extracts.cursor_value is 'Largest value of the cursor column that has been seen';
comment on column ops.extracts.shape is 'Hash of what is read of the table; with another one, all days are compared anew';
comment on column ops.extracts.failure is 'Why the table could not be taken out the last time';
comment on column ops.extracts.compared_at is 'When all days were last compared, which is how deleted rows are found';

create table ops.extracted_days (
    dataset text not null,
    day date,
    rows bigint not null,
    digest numeric not null,
    unique nulls not distinct (dataset, day)
);
comment on table ops.extracted_days is 'Days of a table as they were last written into landing; null: rows without a day';
comment on column ops.extracted_days.rows is '-1 while the day is being written: what stands in landing is not known';

grant select on ops.extracts, ops.extracted_days to analyst, developer, training, steward;
