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

-- Lists of tasks, newest first. State: ready, scheduled, waiting (in a lane), running, dead, or an outcome of finished;
-- null: all live tasks.
-- Reads shard by shard along the claim's own index, so that a long backlog of another kind is not read.
create or replace function pawl.tasks_v1(p_state text, p_queue text, p_kind text, p_limit int)
returns table (id bigint, state text, queue text, kind text, priority smallint, attempt smallint, run_at timestamptz,
  created_at timestamptz, ended_at timestamptz, worker_id int, error jsonb)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with stream as not materialized (
    select st.id, st.queue_id, q.name as queue, st.kind from pawl.stream st join pawl.queue q on q.id = st.queue_id
     where (p_queue is null or q.name = p_queue) and (p_kind is null or st.kind = p_kind)
  ), held as (
    select * from pawl.claimed_task
  ), waiting as (
    select t.*, h.stream_id, h.priority
      from pawl.with_tasks('shard_id', 'ready') n (id)
      join pawl.shard h on h.id = n.id join stream st on st.id = h.stream_id
      cross join lateral (select * from pawl.task r where r.shard_id = h.id and r.state = 'ready' and r.seq > h.cursor
          order by r.seq desc limit p_limit) t
     where p_state is null or p_state = 'ready'
    union all
    select t.*, h.stream_id, h.priority
      from pawl.with_tasks('shard_id', 'scheduled') n (id)
      join pawl.shard h on h.id = n.id join stream st on st.id = h.stream_id
      cross join lateral (select * from pawl.task s where s.shard_id = h.id and s.state = 'scheduled'
          order by s.seq desc limit p_limit) t
     where p_state is null or p_state in ('scheduled', 'parked')
  ), laned as (
    select t.*, h.stream_id, h.priority
      from (select n.id from pawl.with_tasks('queue_id', 'waiting') n (id)
            union select n.id from pawl.with_tasks('queue_id', 'arrived') n (id)) n
      cross join lateral (
        (select * from pawl.task w where w.queue_id = n.id and w.state = 'waiting' limit p_limit)
        union all
        (select * from pawl.task a where a.state = 'arrived' and a.queue_id = n.id limit p_limit)) t
      join pawl.shard h on h.id = t.shard_id join stream st on st.id = h.stream_id
     where p_state is null or p_state = 'waiting'
  ), listed as (
    select t.id, 'running' as state, st.queue, st.kind, t.priority, (t.attempt + 1)::smallint as attempt, t.run_at,
           t.created_at, null::timestamptz as ended_at, t.worker_id, t.last_error as error
      from held t join stream st on st.id = t.stream_id where p_state is null or p_state = 'running'
    union all
    select t.id, case when t.run_at = 'infinity' then 'parked' else t.state end, st.queue, st.kind, t.priority, t.attempt,
           nullif(t.run_at, 'infinity'), t.created_at, null, null, t.last_error
      from waiting t join stream st on st.id = t.stream_id
    union all
    select t.id, 'waiting', st.queue, st.kind, t.priority, t.attempt, t.run_at, t.created_at, null, null, t.last_error
      from laned t join stream st on st.id = t.stream_id
    union all
    select d.id, 'dead', st.queue, st.kind, d.priority, d.attempt, d.run_at, d.created_at, d.died_at, d.worker_id, d.error
      from stream st cross join lateral (
        select * from pawl.dead l where l.stream_id = st.id order by l.died_at desc limit p_limit) d where p_state = 'dead'
    union all
    (select f.id, f.outcome, st.queue, st.kind, f.priority, f.attempt, f.run_at, f.created_at, f.finished_at, f.worker_id, f.error
      from pawl.finished f join stream st on st.id = f.stream_id where f.outcome = p_state order by f.id desc limit p_limit)
  )
  select * from listed l where p_state is null or l.state = p_state order by l.id desc limit p_limit
$$;
