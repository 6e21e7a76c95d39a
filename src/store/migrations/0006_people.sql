-- What people ask and do: statistics, tasks, dead letters. The CLI and every API read these functions.

-- How many rows the planner expects of a query.
create function pawl.estimated_rows(p_query text) returns bigint
language plpgsql volatile as $$
declare
  v_plan jsonb;
begin
  execute 'explain (format json) ' || p_query into v_plan;
  return (v_plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint;
end $$;

-- Tasks of a shard in a state: exact up to 10,000 from the index, then the planner's estimate.
create function pawl.count_tasks(p_shard int, p_state text) returns table (tasks bigint, is_estimate boolean)
language plpgsql volatile
set enable_seqscan = off set jit = off as $$
declare
  v_count bigint;
begin
  if p_state = 'ready' then
    select count(*) into v_count from (
      select 1 from pawl.task t where t.shard_id = p_shard and t.state = 'ready' limit 10001) c;
  else
    select count(*) into v_count from (
      select 1 from pawl.task t where t.shard_id = p_shard and t.state = 'scheduled' limit 10001) c;
  end if;
  if v_count <= 10000 then
    return query select v_count, false;
  else
    return query select greatest(10001, pawl.estimated_rows(format(
      'select 1 from pawl.task t where t.shard_id = %s and t.state = %L', p_shard, p_state))), true;
  end if;
end $$;

-- One row a queue: the one source of every count that people see.
create function pawl.stats_v1() returns table (queue text, ready bigint, scheduled bigint, running bigint, dead bigint,
  is_estimate boolean, oldest_ready_ms bigint, done_per_minute numeric, retried_per_minute numeric, dead_per_minute numeric)
language sql volatile
set jit = off as $$
  with running as materialized (
    select c.shard_id, count(*) as tasks
      from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
     where exists (select 1 from pawl.task t where t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq)
     group by c.shard_id
  ), shard as (
    select st.queue_id, r.tasks as ready, r.is_estimate, s.tasks as scheduled, s.is_estimate as is_estimate_too,
           coalesce(n.tasks, 0) as running, o.created_at
      from pawl.shard h
      join pawl.stream st on st.id = h.stream_id
      cross join lateral pawl.count_tasks(h.id, 'ready') r
      cross join lateral pawl.count_tasks(h.id, 'scheduled') s
      left join running n on n.shard_id = h.id
      left join lateral (select t.run_at as created_at from pawl.task t
         where t.shard_id = h.id and t.state = 'ready' and t.seq > h.cursor order by t.seq limit 1) o on true
  ), total as (
    select s.queue_id, sum(greatest(s.ready - s.running, 0)) as ready, sum(s.scheduled) as scheduled, sum(s.running) as running,
           bool_or(s.is_estimate or s.is_estimate_too) as is_estimate, min(s.created_at) as oldest
      from shard s group by s.queue_id
  ), buried as (
    select st.queue_id, count(*) as dead
      from pawl.stream st cross join lateral (
        select 1 from pawl.dead d where d.stream_id = st.id limit 10001) d
     group by st.queue_id
  ), rate as (
    -- the last whole minutes and the current one, over the time they cover
    select st.queue_id, sum(y.done) as done, sum(y.retried) as retried, sum(y.dead) as dead,
           greatest(extract(epoch from pawl.now() - min(y.minute)) / 60, 1) as minutes
      from pawl.tally y join pawl.stream st on st.id = y.stream_id
     where y.minute > pawl.now() - interval '5 minutes'
     group by st.queue_id
  )
  select q.name, coalesce(t.ready, 0)::bigint, coalesce(t.scheduled, 0)::bigint, coalesce(t.running, 0)::bigint,
         coalesce(b.dead, 0), coalesce(t.is_estimate, false) or coalesce(b.dead, 0) > 10000,
         case when t.oldest is not null then greatest(extract(epoch from pawl.now() - t.oldest) * 1000, 0)::bigint end,
         round(coalesce(r.done / r.minutes, 0), 1), round(coalesce(r.retried / r.minutes, 0), 1),
         round(coalesce(r.dead / r.minutes, 0), 1)
    from pawl.queue q
    left join total t on t.queue_id = q.id
    left join buried b on b.queue_id = q.id
    left join rate r on r.queue_id = q.id
   order by q.id
$$;

-- Where a task is now, whichever table holds it; one row or none.
create function pawl.find_task_v1(p_id bigint) returns table (id bigint, state text, queue text, kind text, priority smallint,
  attempt smallint, max_attempts int, run_at timestamptz, created_at timestamptz, started_at timestamptz, ended_at timestamptz,
  worker_id int, payload jsonb, meta jsonb, ref text, result jsonb, error jsonb, reason text)
language sql stable as $$
  with found as (
    select t.id, case when c.no is not null then 'running' else t.state end as state, h.stream_id, h.priority,
           (t.attempt + (c.no is not null)::int)::smallint as attempt, t.max_attempts, t.run_at, t.created_at, c.claimed_at as started_at,
           null::timestamptz as ended_at, c.worker_id, t.payload, t.meta, t.ref, null::jsonb as result,
           t.last_error as error, null::text as reason
      from pawl.task t
      join pawl.shard h on h.id = t.shard_id
      left join pawl.claim c on c.shard_id = t.shard_id and t.state = 'ready' and t.seq = any (c.seqs)
     where t.id = p_id
    union all
    select d.id, 'dead', d.stream_id, d.priority, d.attempt, d.max_attempts, d.run_at, d.created_at, d.started_at, d.died_at,
           d.worker_id, d.payload, d.meta, d.ref, null, d.error, d.reason
      from pawl.dead d where d.id = p_id
    union all
    select f.id, f.outcome, f.stream_id, f.priority, f.attempt, null, f.run_at, f.created_at, f.started_at, f.finished_at,
           f.worker_id, f.payload, f.meta, f.ref, f.result, f.error, null
      from pawl.finished f where f.id = p_id
  )
  select f.id, f.state, q.name, st.kind, f.priority, f.attempt,
         coalesce(f.max_attempts, (coalesce(st.retry, q.retry, pawl.default_retry()) ->> 'attempts')::int),
         f.run_at, f.created_at, f.started_at, f.ended_at, f.worker_id, f.payload, f.meta, f.ref, f.result, f.error, f.reason
    from found f join pawl.stream st on st.id = f.stream_id join pawl.queue q on q.id = st.queue_id
$$;

-- Dead letters go back to their queue with the same id, a fresh budget and their history.
create function pawl.retry_dead_v1(p_ids bigint[]) returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
begin
  perform pg_current_xact_id(); -- before the first seq
  return query
  with risen as (
    delete from pawl.dead d where d.id = any (p_ids) returning d.*
  ), remembered as (
    insert into pawl.attempt (task_id, seq, attempt, outcome, worker_id, started_at, ended_at, error)
    select r.id, r.seq, r.attempt, 'dead', r.worker_id, r.started_at, r.died_at, r.error from risen r
  ), back as (
    insert into pawl.task (id, shard_id, seq, state, run_at, created_at, max_attempts, payload, meta, ref, last_error)
    select r.id, (pawl.shards_of(r.stream_id, r.priority, r.reason = 'crashed'))[1], nextval('pawl.seq'), 'ready', pawl.now(),
           r.created_at, r.max_attempts, r.payload, r.meta, r.ref, r.error
      from risen r order by r.id
    returning task.id
  )
  select b.id, 'retried' from back b;
  perform pawl.wake_v1();
end $$;

-- Dead letters that a person gives up: they go to history as removed.
create function pawl.remove_dead_v1(p_ids bigint[]) returns table (id bigint, outcome text)
language sql volatile as $$
  with gone as (
    delete from pawl.dead d where d.id = any (p_ids) returning d.*
  )
  insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at, started_at,
    finished_at, payload, meta, ref, error)
  select g.id, g.seq, g.stream_id, g.worker_id, g.priority, g.attempt, 'removed', g.created_at, g.run_at, g.started_at,
         pawl.now(), g.payload, g.meta, g.ref, g.error from gone g
  returning id, 'removed'
$$;

-- Lists of tasks, newest first. State: ready, scheduled, running, dead, or an outcome of finished; null: all that live.
-- Goes shard by shard along the claim's own index, so that a long backlog of another kind is not walked.
create function pawl.tasks_v1(p_state text, p_queue text, p_kind text, p_limit int)
returns table (id bigint, state text, queue text, kind text, priority smallint, attempt smallint, run_at timestamptz,
  created_at timestamptz, ended_at timestamptz, worker_id int, error jsonb)
language sql stable as $$
  with stream as materialized (
    select st.id, q.name as queue, st.kind from pawl.stream st join pawl.queue q on q.id = st.queue_id
     where (p_queue is null or q.name = p_queue) and (p_kind is null or st.kind = p_kind)
  ), held as (
    select t.*, c.worker_id, c.stream_id, c.priority
      from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
      join pawl.task t on t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq
  ), waiting as (
    select t.*, h.stream_id, h.priority
      from stream st join pawl.shard h on h.stream_id = st.id
      cross join lateral (
        (select * from pawl.task r where r.shard_id = h.id and r.state = 'ready' and r.seq > h.cursor
          order by r.seq desc limit p_limit)
        union all
        (select * from pawl.task s where s.shard_id = h.id and s.state = 'scheduled' limit p_limit)) t
     where p_state is null or p_state in ('ready', 'scheduled')
  ), listed as (
    select t.id, 'running' as state, st.queue, st.kind, t.priority, (t.attempt + 1)::smallint as attempt, t.run_at,
           t.created_at, null::timestamptz as ended_at, t.worker_id, t.last_error as error
      from held t join stream st on st.id = t.stream_id where p_state is null or p_state = 'running'
    union all
    select t.id, t.state, st.queue, st.kind, t.priority, t.attempt, t.run_at, t.created_at, null, null, t.last_error
      from waiting t join stream st on st.id = t.stream_id
    union all
    select d.id, 'dead', st.queue, st.kind, d.priority, d.attempt, d.run_at, d.created_at, d.died_at, d.worker_id, d.error
      from pawl.dead d join stream st on st.id = d.stream_id where p_state = 'dead'
    union all
    select f.id, f.outcome, st.queue, st.kind, f.priority, f.attempt, f.run_at, f.created_at, f.finished_at, f.worker_id, f.error
      from pawl.finished f join stream st on st.id = f.stream_id where f.outcome = p_state
  )
  select * from listed l where p_state is null or l.state = p_state order by l.id desc limit p_limit
$$;

create function pawl.dead_v1(p_ids bigint[], p_queue text, p_kind text, p_error text, p_limit int)
returns table (id bigint, queue text, kind text, priority smallint, attempt smallint, reason text, created_at timestamptz,
  died_at timestamptz, worker_id int, payload jsonb, error jsonb)
language sql stable as $$
  select d.id, q.name, st.kind, d.priority, d.attempt, d.reason, d.created_at, d.died_at, d.worker_id, d.payload, d.error
    from pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
   where (p_ids is null or d.id = any (p_ids)) and (p_queue is null or q.name = p_queue)
     and (p_kind is null or st.kind = p_kind) and (p_error is null or strpos(d.error ->> 'message', p_error) > 0)
   order by d.died_at desc, d.id desc limit p_limit
$$;
