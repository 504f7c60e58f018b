-- History is the log of publications. Its readers are told nothing of those that were rolled back; the log keeps them.
alter table ops.rollbacks add column undone_by bigint references ops.publications;
comment on table ops.rollbacks is 'Publications that were rolled back';
comment on column ops.rollbacks.undone_by is
'The publication that carried it out. From then on, also when it is released, history is told without what was undone: '
'what is taken in again is told by the publication that does it';

create view ops.active_holds as
select distinct on (table_name, day) table_name, day, publication_id, fingerprint, reason
from ops.holds
join ops.rollbacks using (publication_id)
where released_at is null
order by table_name, day, publication_id;
comment on view ops.active_holds is
'Days that are held; of a day that several rollbacks hold, the state before the earliest publication counts';
grant select on ops.active_holds to analyst, developer, training, steward;

create function ops.hide_undone(history regclass)
returns void
language plpgsql
as $$
begin
    if not exists (select from pg_policy where polrelid = history and polname = 'not_undone') then
        execute format(
            'alter table %1$s enable row level security;
             create policy not_undone on %1$s for select using (
                 publication_id not in (select publication_id from ops.rollbacks where undone_by is not null))',
            history
        );
    end if;
end
$$;
comment on function ops.hide_undone is
'Lets all but the owner read a history without the publications that were undone';

select ops.hide_undone(c.oid)
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attname = 'publication_id'
where c.relnamespace = 'features'::regnamespace and c.relkind = 'r' and c.relname like '%\_history';
