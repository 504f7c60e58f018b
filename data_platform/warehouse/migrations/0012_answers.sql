-- What comes late, again, twice, or is taken back by the manifest may need a person's word: the contract says so. Until
-- then it does not count, and what counted before it does. As all else, that is derived.
create table ops.delivery_policies (
    dataset text primary key,
    late text not null,
    corrected text not null,
    duplicate text not null,
    withdrawn text not null,
    arrival_delay interval not null
);
comment on table ops.delivery_policies is
'onDelivery of each source''s contract, as of the last discovery: accept, refuse or ask';

create table ops.answers (
    answer_id bigint generated always as identity primary key,
    file_id bigint not null references ops.files,
    about text not null check (about in ('delivery', 'withdrawal')),
    is_accepted boolean not null,
    reason text not null,
    arrived_at timestamptz not null,
    decided_at timestamptz not null default clock_timestamp()
);
create index on ops.answers (file_id);
comment on table ops.answers is
'What somebody said of deliveries and withdrawals that the contract does not accept; of each the last word counts';
comment on column ops.answers.arrived_at is 'When that came, on the business clock: an input like a delivery';

alter table ops.withdrawals add column by_manifest boolean not null default false;
comment on table ops.withdrawals is 'What somebody, or the source''s manifest, withdrew; ops.standing_withdrawals count';

create view ops.last_answers as
select distinct on (file_id, about) * from ops.answers order by file_id, about, answer_id desc;

create view ops.standing_withdrawals as
select
    w.file_id,
    w.reason,
    greatest(w.arrived_at, a.arrived_at) as arrived_at,
    greatest(w.decided_at, a.decided_at) as decided_at
from ops.withdrawals as w
inner join ops.files as f using (file_id)
left join ops.delivery_policies as p using (dataset)
left join ops.last_answers as a on a.file_id = w.file_id and a.about = 'withdrawal' and a.is_accepted
where not w.by_manifest or coalesce(p.withdrawn, 'accept') = 'accept' or a.is_accepted;
comment on view ops.standing_withdrawals is 'Deliveries that no longer count; with the answer, where it took one';

create view ops.judged_deliveries as
with version as (
    select
        f.*,
        p,
        w.file_id is not null as is_withdrawn,
        w.decided_at as withdrawn_at,
        lead(f.discovered_at) over (partition by f.dataset, f.path order by f.file_id) as replaced_at,
        -- Only what is in it tells of which days it is; where that does not matter nobody looks.
        p.late <> 'accept' and f.arrived_at > p.arrival_delay + (
            select (max(d.day) + 1)::timestamp at time zone 'UTC' from ops.file_days as d where d.file_id = f.file_id
        ) as is_overdue
    from ops.files as f
    left join ops.standing_withdrawals as w using (file_id)
    left join ops.delivery_policies as p using (dataset)
),
-- Until when what came before on its path, or with its content, stood: in time, and not taken back. What was never read
-- says nothing.
beside as (
    select
        v.*,
        max(coalesce(v.withdrawn_at, 'infinity')) filter (where v.ingest_id is not null and v.is_overdue is not true)
            over (partition by v.dataset, v.path order by v.file_id rows between unbounded preceding and 1 preceding)
            as path_stood_until,
        max(coalesce(least(v.withdrawn_at, v.replaced_at), 'infinity')) filter (where v.is_overdue is not true) over (
            partition by v.dataset, v.sha256, v.extract_day
            order by v.file_id rows between unbounded preceding and 1 preceding
        ) as content_stood_until
    from version as v
),
named as (
    select
        b.*,
        case
            when b.path_stood_until > b.discovered_at then 'corrected'
            when b.content_stood_until > b.discovered_at then 'duplicate'
            when b.is_overdue then 'late'
        end as kind
    from beside as b
)
select
    n.file_id, n.dataset, n.path, n.sha256, n.size_bytes, n.modified_ns, n.extract_day, n.arrived_at, n.discovered_at,
    n.ingest_id, n.input_version, n.rows_read, n.rows_live, n.rows_quarantined, n.failure, n.failed_version,
    n.is_withdrawn, n.withdrawn_at, n.kind, policy.says as policy, a.is_accepted,
    not coalesce(a.is_accepted, policy.says = 'accept', true) as is_held,
    greatest(n.discovered_at, a.decided_at) as counts_since
from named as n
cross join lateral (
    select
        case n.kind
            when 'corrected' then (n.p).corrected when 'duplicate' then (n.p).duplicate when 'late' then (n.p).late
        end as says
) as policy
left join ops.last_answers as a on a.file_id = n.file_id and a.about = 'delivery';
comment on view ops.judged_deliveries is
'Deliveries with what the contract, and whoever answered, say of those that are late, corrected or there twice; '
'a held one does not count';

create or replace view ops.deliveries as
-- A content is what makes deliveries equal: the bytes, and of an extract its day.
with version as (
    select
        f.*,
        f.ingest_id is not null and not f.is_held as is_read,
        -- Until when a reading counted: until a later version of its path counted, or it was withdrawn.
        coalesce(least(
            min(f.counts_since) filter (where f.ingest_id is not null and not f.is_held) over (
                partition by f.dataset, f.path order by f.file_id rows between 1 following and unbounded following
            ),
            f.withdrawn_at
        ), 'infinity') as counted_until
    from ops.judged_deliveries as f
),
-- A delivery that is not read yet says what an equal one said that counted when it came: nothing is lost, and nothing
-- is there twice, while one takes over from the other.
told as (
    select
        v.*,
        v.is_read or (
            not v.is_held and v.counts_since <= max(v.counted_until) filter (where v.is_read) over (
                partition by v.dataset, v.sha256, v.extract_day
            )
        ) as is_told,
        max(v.file_id) filter (where not v.is_withdrawn) over (partition by v.dataset, v.path) as newest
    from version as v
),
of_path as (
    select
        t.*,
        -- A version that cannot be read, or is held, leaves what its path said before.
        max(t.file_id) filter (where not t.is_withdrawn and t.is_told) over same_path as newest_told,
        max(t.file_id) filter (
            where
            not t.is_withdrawn
            and (t.is_read or (t.file_id = t.newest and t.failure is null and not t.is_held))
        ) over same_path as wanted
    from told as t
    window same_path as (partition by t.dataset, t.path)
),
of_content as (
    select
        p.*,
        bool_or(p.file_id = p.newest_told) over same_content as is_content_told,
        row_number() over (
            same_content
            order by p.is_read desc, (p.file_id = p.newest_told) desc nulls last, p.counted_until desc, p.ingest_id desc
        ) as preference,
        bool_or(p.file_id = p.wanted and p.is_read) over same_content as is_content_read,
        min(p.file_id) filter (where p.file_id = p.wanted) over same_content as first_wanted
    from of_path as p
    window same_content as (partition by p.dataset, p.sha256, p.extract_day)
)
select
    file_id, dataset, path, sha256, size_bytes, modified_ns, extract_day, arrived_at, discovered_at,
    case
        when is_content_told and is_read and preference = 1 then 'live'
        when is_withdrawn then 'withdrawn'
        when file_id = wanted and not is_read and not is_content_read and file_id = first_wanted then 'new'
        when file_id = wanted then 'duplicate'
        when file_id = newest and is_held and is_accepted is null and policy = 'ask' then 'asked'
        when file_id = newest and is_held then 'refused'
        when file_id = newest then 'failed'
        else 'superseded'
    end as state,
    ingest_id, input_version, rows_read, rows_live, rows_quarantined, failure, failed_version, kind, policy, is_accepted
from of_content;
comment on column ops.deliveries.state is
'live: its rows count. new: waits to be read. duplicate: an equal one counts. superseded: a later version of its path '
'took its place. failed: cannot be read. asked: waits for an answer. refused: the contract, or an answer, said that it '
'does not count. withdrawn: somebody said that it does not count';
grant select on ops.delivery_policies, ops.answers, ops.last_answers, ops.standing_withdrawals, ops.judged_deliveries
to analyst, developer, training, steward;
