-- Days that are asked for are read from the lake again; what is built from them, only where they differ, or on demand.
alter table ops.runs add column rebuild boolean not null default false;
comment on column ops.runs.rebuild is 'Whether all that is made of the days asked for is built anew, differ they or not';
alter table ops.backfills add column rebuild boolean not null default false;
