-- Tasks as people see them, wherever they are.

-- Where a task is now, whichever table holds it; one row or none.
create or replace function pawl.find_task_v1(p_id bigint) returns table (id bigint, state text, queue text, kind text, priority smallint,
  attempt smallint, max_attempts int, run_at timestamptz, created_at timestamptz, started_at timestamptz, ended_at timestamptz,
  worker_id int, payload jsonb, meta jsonb, ref text, result jsonb, error jsonb, reason text, lane text, key text,
  expires_at timestamptz, cancel_requested_at timestamptz, progress jsonb)
language sql stable as $$
  select t.id, t.state, t.queue, t.kind, t.priority, t.attempt, t.max_attempts, t.run_at, t.created_at, t.started_at, t.ended_at,
         t.worker_id, t.payload, t.meta, t.ref, t.result, t.error, t.reason, t.lane, t.key, t.expires_at, t.cancel_requested_at,
         t.progress
    from pawl.task_v1 t where t.id = p_id
$$;

-- Lists of tasks, newest first. p_states: of ready, scheduled, parked, waiting (in a lane, or for its limit key), running, dead, and
-- the outcomes of finished. Reads shard by shard along the claim's own index, so that a long backlog of another kind is not read; with
-- terms about rows, the newest p_look of each. A last row without an id: of some place older rows were not read.
-- 1. of which streams, and how many rows of each place
-- 2. what the filter names by id, or live by key or lane: no other tasks are read then
-- 3. live tasks
-- 4. what may be listed; place: what is read up to a bound
-- 5. what fits, the newest first
create or replace function pawl.tasks_v1(p_states text[], p_filter jsonb, p_limit int, p_look int)
returns table (id bigint, state text, queue text, kind text, priority smallint, attempt smallint, run_at timestamptz,
  created_at timestamptz, ended_at timestamptz, worker_id int, error jsonb)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  -- 1. of which streams, and how many rows of each place
  with checked as materialized (select pawl.checked_filter(p_filter) as filter
  ), stream as not materialized (
    select st.id, st.queue_id, q.name as queue, st.kind from pawl.stream st join pawl.queue q on q.id = st.queue_id
     where pawl.fits_stream(p_filter, q.name, st.kind)
  ), most as materialized (
    select pawl.rows_to_read(p_filter, p_limit, p_look) as n
  -- 2. what the filter names by id, or live by key or lane: no other tasks are read then
  ), named as materialized (
    select v::bigint as id from jsonb_array_elements_text(p_filter -> 'ids') v
    union all
    select t.id from stream st cross join lateral jsonb_array_elements_text(p_filter -> 'keys') k (key)
      join pawl.task t on t.queue_id = st.queue_id and t.key = pawl.full_key(st.kind, k.key)
    union all
    select t.id from (select distinct st.queue_id from stream st) s cross join lateral jsonb_array_elements_text(p_filter -> 'lanes') l (lane)
      cross join lateral (
        (select h.id from pawl.task h where h.queue_id = s.queue_id and h.lane = l.lane and h.state in ('ready', 'scheduled', 'blocked', 'limited'))
        union all
        (select w.id from pawl.task w where w.queue_id = s.queue_id and w.lane = l.lane and w.state = 'waiting' order by w.id desc limit (select n from most))
        union all
        (select a.id from pawl.task a where a.queue_id = s.queue_id and a.lane = l.lane and a.state = 'arrived' order by a.id desc limit (select n from most))) t
  -- 3. live tasks
  ), held as (
    select c.*, r.lane, r.key, r.payload, r.meta from pawl.claimed_task c join pawl.task r on r.id = c.id
  ), waiting as (
    select t.*, h.stream_id, h.priority
      from pawl.with_tasks('shard_id', 'ready') n (id)
      join pawl.shard h on h.id = n.id join stream st on st.id = h.stream_id
      cross join lateral (select * from pawl.task r where r.shard_id = h.id and r.state = 'ready' and r.seq > h.cursor
          order by r.seq desc limit (select n from most)) t
     where 'ready' = any (p_states) and not p_filter ?| '{ids,keys,lanes}'
    union all
    select t.*, h.stream_id, h.priority
      from pawl.with_tasks('shard_id', 'scheduled') n (id)
      join pawl.shard h on h.id = n.id join stream st on st.id = h.stream_id
      cross join lateral (select * from pawl.task s where s.shard_id = h.id and s.state = 'scheduled'
          order by s.seq desc limit (select n from most)) t
     where p_states && '{scheduled,parked}' and not p_filter ?| '{ids,keys,lanes}'
  ), laned as (
    select t.*, h.stream_id, h.priority
      from (select n.id from pawl.with_tasks('queue_id', 'waiting') n (id)
            union select n.id from pawl.with_tasks('queue_id', 'arrived') n (id)
            union select n.id from pawl.with_tasks('queue_id', 'limited') n (id)) n
      cross join lateral (
        (select * from pawl.task w where w.queue_id = n.id and w.state = 'waiting' limit (select n from most))
        union all
        (select * from pawl.task a where a.state = 'arrived' and a.queue_id = n.id limit (select n from most))
        union all
        (select * from pawl.task l where l.state = 'limited' and l.queue_id = n.id limit (select n from most))) t
      join pawl.shard h on h.id = t.shard_id join stream st on st.id = h.stream_id
     where 'waiting' = any (p_states) and not p_filter ?| '{ids,keys,lanes}'
  -- 4. what may be listed; place: what is read up to a bound
  ), listed as materialized (
    select t.id, 'running' as state, t.stream_id, t.priority, (t.attempt + 1)::smallint as attempt, t.run_at, t.created_at,
           null::timestamptz as ended_at, t.worker_id, t.last_error as error, null::text as reason, t.lane, t.key, t.payload, t.meta,
           null::text as place
      from held t where 'running' = any (p_states) and not p_filter ?| '{ids,keys,lanes}'
    union all
    select t.id, case when t.run_at = 'infinity' then 'parked' else t.state end, t.stream_id, t.priority, t.attempt, nullif(t.run_at, 'infinity'),
           t.created_at, null, null, t.last_error, null, t.lane, t.key, t.payload, t.meta, t.state || t.shard_id
      from waiting t
    union all
    select t.id, 'waiting', t.stream_id, t.priority, t.attempt, t.run_at, t.created_at, null, null, t.last_error, null, t.lane, t.key,
           t.payload, t.meta, t.state || t.queue_id
      from laned t
    union all
    select d.id, 'dead', st.id, d.priority, d.attempt, d.run_at, d.created_at, d.died_at, d.worker_id, d.error, d.reason, d.lane, d.key,
           d.payload, d.meta, 'dead' || st.id
      from stream st cross join lateral (
        select * from pawl.dead l where l.stream_id = st.id and l.died_at >= coalesce(pawl.filter_time(p_filter ->> 'since'), '-infinity')
         order by l.died_at desc limit (select n from most)) d
     where 'dead' = any (p_states) and not p_filter ? 'ids'
    union all
    (select f.id, f.outcome, f.stream_id, f.priority, f.attempt, f.run_at, f.created_at, f.finished_at, f.worker_id, f.error, null, f.lane, f.key,
            f.payload, f.meta, 'finished'
      from pawl.finished f join stream st on st.id = f.stream_id
     where f.outcome = any (p_states) and not p_filter ? 'ids' and f.finished_at >= coalesce(pawl.filter_time(p_filter ->> 'since'), '-infinity')
     order by f.id desc limit (select n from most))
  -- 5. what fits, the newest first
  ), fitting as (
    select l.id, l.state, st.queue, st.kind, l.priority, l.attempt, l.run_at, l.created_at, l.ended_at, l.worker_id, l.error
      from listed l join stream st on st.id = l.stream_id
     where l.state = any (p_states)
       and pawl.fits_row((select c.filter from checked c), l.id, l.priority, l.attempt, l.reason, l.lane, substr(l.key, length(st.kind) + 2), l.worker_id,
             l.created_at, coalesce(l.ended_at, l.created_at), l.error, l.payload, l.meta)
    union all
    select v.id, v.shown, v.queue, v.kind, v.priority, v.attempt, v.run_at, v.created_at, v.ended_at, v.worker_id, v.error
      from (select distinct n.id from named n) n cross join lateral (
        select t.*, case t.state when 'arrived' then 'waiting' when 'limited' then 'waiting' else t.state end as shown
          from pawl.task_v1 t where t.id = n.id offset 0) v
     where v.shown = any (p_states) and pawl.fits_stream(p_filter, v.queue, v.kind)
       and pawl.fits_row((select c.filter from checked c), v.id, v.priority, v.attempt, v.reason, v.lane, v.key, v.worker_id,
             v.created_at, coalesce(v.ended_at, v.created_at), v.error, v.payload, v.meta)
  ), shown as (
    select f.* from fitting f order by f.id desc limit p_limit
  )
  (select * from shown s order by s.id desc)
  union all
  select null, null, null, null, null, null, null, null, null, null, null
   where p_filter -> 'rows' <> '[]' and (select count(*) from shown) < p_limit
     and exists (select from listed l where l.place is not null group by l.place having count(*) >= (select n from most))
$$;

-- Not ended yet, and not dead.
create or replace function pawl.is_task_live(p_id bigint) returns boolean
language sql stable return exists (select 1 from pawl.task t where t.id = p_id and t.state <> 'blocked');

-- Live tasks that fit, after p_after and up to p_last, in the order of their ids; p_states: as in tasks_v1.
create or replace function pawl.live_fitting(p_states text[], p_filter jsonb, p_after bigint, p_last bigint, p_limit int)
returns table (id bigint, state text)
language sql stable as $$
  with c as materialized (select pawl.checked_filter(p_filter) as filter
  ), claimed as materialized (
    select k.shard_id, u.seq, k.worker_id from pawl.claim k cross join lateral unnest(k.seqs) u (seq)
  ), live as (
    select t.*, h.priority, h.stream_id, k.worker_id, k.seq is not null as is_running,
           case when k.seq is not null then 'running' when t.run_at = 'infinity' then 'parked'
             when t.state in ('arrived', 'limited') then 'waiting' else t.state end as shown
      from pawl.task t join pawl.shard h on h.id = t.shard_id
      left join claimed k on k.shard_id = t.shard_id and k.seq = t.seq and t.state = 'ready'
     where t.id > p_after and t.id <= p_last and t.state <> 'blocked'
  )
  select l.id, l.shown from live l join pawl.stream st on st.id = l.stream_id join pawl.queue q on q.id = st.queue_id
   where l.shown = any (p_states) and pawl.fits_stream(p_filter, q.name, st.kind)
     and pawl.fits_row((select c.filter from c), l.id, l.priority, (l.attempt + l.is_running::int)::smallint, null, l.lane, substr(l.key, length(st.kind) + 2),
           l.worker_id, l.created_at, l.created_at, l.last_error, l.payload, l.meta)
   order by l.id limit p_limit
$$;

create or replace function pawl.live_ids_v1(p_states text[], p_filter jsonb, p_after bigint, p_last bigint, p_limit int)
returns table (id bigint, state text)
language sql stable as $$ select * from pawl.live_fitting(p_states, p_filter, p_after, p_last, p_limit) $$;

create or replace function pawl.live_count_v1(p_states text[], p_filter jsonb, out count bigint, out last bigint)
language sql stable as $$
  select count(*), coalesce(max(f.id), 0) from pawl.live_fitting(p_states, p_filter, 0, 9223372036854775807, null) f (id)
$$;
