-- A withdrawal ends every version of its path that came until then. One that was taken over from a state (0006) ended a
-- single version, and what that had replaced counted again.
insert into ops.withdrawals (file_id, reason, arrived_at, decided_at)
select distinct on (earlier.file_id) earlier.file_id, w.reason, w.arrived_at, w.decided_at
from ops.withdrawals as w
inner join ops.files as later on w.file_id = later.file_id
inner join ops.files as earlier
    on later.dataset = earlier.dataset and later.path = earlier.path and later.file_id > earlier.file_id
order by earlier.file_id, later.file_id
on conflict do nothing;
