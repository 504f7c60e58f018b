-- What is to follow outside may be gone by the time that an export looks: nobody will ever bring it up to date.
alter table ops.exports drop constraint exports_state_check;
alter table ops.exports add constraint exports_state_check check (state in ('waiting', 'done', 'dropped'));
alter table ops.exports add column reason text;
alter table ops.exports add constraint exports_reason_check check ((state = 'dropped') = (reason is not null));
comment on column ops.exports.reason is 'Why an export was dropped';
