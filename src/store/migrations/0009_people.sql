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
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
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

-- Tasks of a queue that wait in lanes, those that have just arrived included; and lanes blocked by a dead letter.
create function pawl.count_lanes(p_queue int) returns table (waiting bigint, blocked bigint, is_estimate boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_arrived bigint;
begin
  select count(*) into waiting from (
    select 1 from pawl.task t where t.queue_id = p_queue and t.state = 'waiting' limit 10001) c;
  select count(*) into blocked from (
    select 1 from pawl.task t where t.queue_id = p_queue and t.state = 'blocked' limit 10001) c;
  select count(*) into v_arrived from (select t.queue_id from pawl.task t where t.state = 'arrived' limit 10001) c
   where c.queue_id = p_queue;
  is_estimate := waiting > 10000;
  if is_estimate then
    waiting := greatest(10001, pawl.estimated_rows(format(
      'select 1 from pawl.task t where t.queue_id = %s and t.state = %L', p_queue, 'waiting')));
  end if;
  waiting := waiting + v_arrived;
  return next;
end $$;

-- One row a queue: the one source of every count that people see.
create function pawl.stats_v1() returns table (queue text, ready bigint, scheduled bigint, waiting bigint, blocked bigint,
  running bigint, dead bigint, is_estimate boolean, oldest_ready_ms bigint, done_per_minute numeric, retried_per_minute numeric, dead_per_minute numeric)
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
  select q.name, coalesce(t.ready, 0)::bigint, coalesce(t.scheduled, 0)::bigint, l.waiting, l.blocked,
         coalesce(t.running, 0)::bigint, coalesce(b.dead, 0),
         coalesce(t.is_estimate, false) or l.is_estimate or coalesce(b.dead, 0) > 10000,
         case when t.oldest is not null then greatest(extract(epoch from pawl.now() - t.oldest) * 1000, 0)::bigint end,
         round(coalesce(r.done / r.minutes, 0), 1), round(coalesce(r.retried / r.minutes, 0), 1),
         round(coalesce(r.dead / r.minutes, 0), 1)
    from pawl.queue q
    cross join lateral pawl.count_lanes(q.id) l
    left join total t on t.queue_id = q.id
    left join buried b on b.queue_id = q.id
    left join rate r on r.queue_id = q.id
   order by q.id
$$;

-- Where a task is now, whichever table holds it; one row or none.
create function pawl.find_task_v1(p_id bigint) returns table (id bigint, state text, queue text, kind text, priority smallint,
  attempt smallint, max_attempts int, run_at timestamptz, created_at timestamptz, started_at timestamptz, ended_at timestamptz,
  worker_id int, payload jsonb, meta jsonb, ref text, result jsonb, error jsonb, reason text, lane text, key text,
  expires_at timestamptz, cancel_requested_at timestamptz, progress jsonb)
language sql stable as $$
  with found as (
    select t.id, case when c.no is not null then 'running' else t.state end as state, h.stream_id, h.priority,
           (t.attempt + (c.no is not null)::int)::smallint as attempt, t.max_attempts, t.run_at, t.created_at, c.claimed_at as started_at,
           null::timestamptz as ended_at, c.worker_id, t.payload, t.meta, t.ref, null::jsonb as result,
           t.last_error as error, null::text as reason, t.lane, t.key, t.expires_at, t.cancel_requested_at,
           t.progress
      from pawl.task t
      join pawl.shard h on h.id = t.shard_id
      left join pawl.claim c on c.shard_id = t.shard_id and t.state = 'ready' and t.seq = any (c.seqs)
     where t.id = p_id and t.state <> 'blocked'
    union all
    select d.id, 'dead', d.stream_id, d.priority, d.attempt, d.max_attempts, d.run_at, d.created_at, d.started_at, d.died_at,
           d.worker_id, d.payload, d.meta, d.ref, null, d.error, d.reason, d.lane, d.key, d.expires_at, null, null
      from pawl.dead d where d.id = p_id
    union all
    select f.id, f.outcome, f.stream_id, f.priority, f.attempt, null, f.run_at, f.created_at, f.started_at, f.finished_at,
           f.worker_id, f.payload, f.meta, f.ref, f.result, f.error, null, f.lane, f.key, null, null, null
      from pawl.finished f where f.id = p_id
  )
  select f.id, f.state, q.name, st.kind, f.priority, f.attempt,
         coalesce(f.max_attempts, (coalesce(st.retry, q.retry, pawl.default_retry()) ->> 'attempts')::int),
         f.run_at, f.created_at, f.started_at, f.ended_at, f.worker_id, f.payload, f.meta, f.ref, f.result, f.error, f.reason,
         f.lane, substr(f.key, length(st.kind) + 2), f.expires_at, f.cancel_requested_at, f.progress
    from found f join pawl.stream st on st.id = f.stream_id join pawl.queue q on q.id = st.queue_id
$$;

-- Dead letters go back to their queue with the same id, a fresh budget and their history: retried, or duplicate when a
-- live task has taken the key, and then it stays dead. One that blocks its lane becomes its head again; one whose lane
-- went on without it arrives anew, and its age puts it before what waits. An expiry that has passed is lifted.
create function pawl.retry_dead_v1(p_ids bigint[], p_by text, p_why text) returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_dead pawl.dead;
  v_head pawl.task;
  v_queue int;
begin
  perform pg_current_xact_id(); -- before the first seq
  for v_dead in
    select d.* from pawl.dead d where d.id = any (p_ids) order by d.id for update
  loop
    select st.queue_id into v_queue from pawl.stream st where st.id = v_dead.stream_id;
    delete from pawl.task t where t.id = v_dead.id and t.state = 'blocked' returning t.* into v_head;
    insert into pawl.task as t (id, shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts, payload, meta, ref,
      last_error, lane, key)
    values (v_dead.id, (pawl.shards_of(v_dead.stream_id, v_dead.priority, v_dead.reason = 'crashed'))[1], v_queue,
      nextval('pawl.seq'), case when v_dead.lane is not null and v_head.id is null then 'arrived' else 'ready' end,
      pawl.now(), v_dead.created_at, case when v_dead.expires_at > pawl.now() then v_dead.expires_at end,
      v_dead.max_attempts, v_dead.payload, v_dead.meta, v_dead.ref, v_dead.error, v_dead.lane, v_dead.key)
    on conflict (queue_id, key) where key is not null do nothing;
    if not found then
      insert into pawl.task select (v_head).* where v_head.id is not null;
      return query select v_dead.id, 'duplicate';
      continue;
    end if;
    delete from pawl.dead d where d.id = v_dead.id;
    insert into pawl.attempt (task_id, seq, attempt, outcome, worker_id, started_at, ended_at, error)
    values (v_dead.id, v_dead.seq, v_dead.attempt, 'dead', v_dead.worker_id, v_dead.started_at, v_dead.died_at, v_dead.error);
    perform pawl.audit_v1(p_by, 'retry', 'task:' || v_dead.id, p_why, null);
    return query select v_dead.id, 'retried';
  end loop;
  perform pawl.wake_v1();
end $$;

-- Dead letters that a person gives up: they go to history as removed, and lanes that they blocked go on.
create function pawl.remove_dead_v1(p_ids bigint[], p_by text, p_why text) returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_gone bigint[];
  v_queues int[];
  v_lanes text[];
begin
  with gone as (
    delete from pawl.dead d where d.id = any (p_ids) returning d.*
  ), kept as (
    insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at, started_at,
      finished_at, payload, meta, ref, lane, key, error)
    select g.id, g.seq, g.stream_id, g.worker_id, g.priority, g.attempt, 'removed', g.created_at, g.run_at, g.started_at,
           pawl.now(), g.payload, g.meta, g.ref, g.lane, g.key, g.error from gone g
  )
  select array_agg(g.id order by g.id) into v_gone from gone g;
  with freed as (
    delete from pawl.task t where t.id = any (v_gone) and t.state = 'blocked' returning t.queue_id, t.lane
  )
  select array_agg(f.queue_id), array_agg(f.lane) into v_queues, v_lanes from freed f;
  if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
  perform pawl.audit_v1(p_by, 'remove', 'task:' || u.id, p_why, null) from unnest(v_gone) u (id);
  return query select u.id, 'removed' from unnest(v_gone) u (id);
end $$;

-- Lists of tasks, newest first. State: ready, scheduled, waiting (in a lane), running, dead, or an outcome of finished;
-- null: all that live.
-- Goes shard by shard along the claim's own index, so that a long backlog of another kind is not walked.
create function pawl.tasks_v1(p_state text, p_queue text, p_kind text, p_limit int)
returns table (id bigint, state text, queue text, kind text, priority smallint, attempt smallint, run_at timestamptz,
  created_at timestamptz, ended_at timestamptz, worker_id int, error jsonb)
language sql stable as $$
  with stream as materialized (
    select st.id, st.queue_id, q.name as queue, st.kind from pawl.stream st join pawl.queue q on q.id = st.queue_id
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
  ), laned as (
    select t.*, h.stream_id, h.priority
      from (select distinct m.queue_id from stream m) q
      cross join lateral (
        (select * from pawl.task w where w.queue_id = q.queue_id and w.state = 'waiting' limit p_limit)
        union all
        (select * from pawl.task a where a.state = 'arrived' and a.queue_id = q.queue_id limit p_limit)) t
      join pawl.shard h on h.id = t.shard_id
     where p_state is null or p_state = 'waiting'
  ), listed as (
    select t.id, 'running' as state, st.queue, st.kind, t.priority, (t.attempt + 1)::smallint as attempt, t.run_at,
           t.created_at, null::timestamptz as ended_at, t.worker_id, t.last_error as error
      from held t join stream st on st.id = t.stream_id where p_state is null or p_state = 'running'
    union all
    select t.id, t.state, st.queue, st.kind, t.priority, t.attempt, t.run_at, t.created_at, null, null, t.last_error
      from waiting t join stream st on st.id = t.stream_id
    union all
    select t.id, 'waiting', st.queue, st.kind, t.priority, t.attempt, t.run_at, t.created_at, null, null, t.last_error
      from laned t join stream st on st.id = t.stream_id
    union all
    select d.id, 'dead', st.queue, st.kind, d.priority, d.attempt, d.run_at, d.created_at, d.died_at, d.worker_id, d.error
      from pawl.dead d join stream st on st.id = d.stream_id where p_state = 'dead'
    union all
    select f.id, f.outcome, st.queue, st.kind, f.priority, f.attempt, f.run_at, f.created_at, f.finished_at, f.worker_id, f.error
      from pawl.finished f join stream st on st.id = f.stream_id where f.outcome = p_state
  )
  select * from listed l where p_state is null or l.state = p_state order by l.id desc limit p_limit
$$;

create function pawl.dead_v1(p_ids bigint[], p_queue text, p_kind text, p_error text, p_reason text, p_lane text,
  p_limit int)
returns table (id bigint, queue text, kind text, priority smallint, attempt smallint, reason text, created_at timestamptz,
  died_at timestamptz, worker_id int, lane text, is_blocking boolean, payload jsonb, error jsonb)
language sql stable as $$
  select d.id, q.name, st.kind, d.priority, d.attempt, d.reason, d.created_at, d.died_at, d.worker_id, d.lane,
         d.lane is not null and exists (select 1 from pawl.task t where t.id = d.id and t.state = 'blocked'),
         d.payload, d.error
    from pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
   where (p_ids is null or d.id = any (p_ids)) and (p_queue is null or q.name = p_queue)
     and (p_kind is null or st.kind = p_kind) and (p_error is null or strpos(d.error ->> 'message', p_error) > 0)
     and (p_reason is null or d.reason = p_reason) and (p_lane is null or d.lane = p_lane)
   order by d.died_at desc, d.id desc limit p_limit
$$;

-- Dead letters that died of the same: by queue, kind, reason and the beginning of the message, digits left out.
create function pawl.dead_groups_v1(p_limit int) returns table (queue text, kind text, reason text, error text, tasks bigint,
  blocking bigint, first_died_at timestamptz, last_died_at timestamptz, example bigint)
language sql stable as $$
  select q.name, st.kind, d.reason, left(regexp_replace(coalesce(d.error ->> 'message', ''), '\d+', '#', 'g'), 120),
         count(*), count(t.id), min(d.died_at), max(d.died_at), max(d.id)
    from pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
    left join pawl.task t on t.id = d.id and t.state = 'blocked'
   group by 1, 2, 3, 4 order by 5 desc, 8 desc limit p_limit
$$;

-- Tasks of a scope that run now.
create function pawl.running_of_scope(p_scope text) returns int
language sql stable as $$
  select coalesce(sum(pawl.running_in(q.id)), 0)::int from pawl.scope_of(p_scope) s
    join pawl.queue q on s.scope = 'all' or q.name = s.name
$$;

-- What is off, and how much of it still runs: tasks, and beside them what runs under a lease that is not Pawl's own, and
-- batches that are being stored.
create function pawl.switches_v1() returns table (scope text, off_by text, why text, since timestamptz, until timestamptz,
  running int, leases text[], batches int)
language sql stable as $$
  select w.scope, w.off_by, w.why, w.since, w.until, pawl.running_of_scope(w.scope),
         case when w.scope = 'all' then array(select l.name from pawl.lease l
           where l.lease_until > pawl.now() and l.name not like 'pawl' || ':%' order by l.name) else '{}' end,
         case when w.scope = 'all' then pawl.running_batches() else 0 end
    from (select case s.scope when 'all' then 'all' else s.scope || ':' || s.name end as scope, s.off_by, s.why, s.since, s.until
            from pawl.switch s where s.until is null or s.until > pawl.now()) w
   order by w.scope
$$;

-- Queues as an operator sees them: their options, and what holds them. off_here: the hosts on which a file or a
-- variable holds them.
create function pawl.queues_v1() returns table (queue text, application text, concurrency int, kind_concurrency int,
  rate jsonb, breaker jsonb, on_dead text, running int, holds jsonb, off_here jsonb)
language sql stable as $$
  select q.name, q.application, q.concurrency, q.kind_concurrency, q.rate, q.breaker, q.on_dead, pawl.running_in(q.id),
         coalesce((select jsonb_agg(distinct jsonb_build_object('reason', g.reason, 'since', g.since, 'until', g.until, 'detail', g.detail))
           from pawl.gate_v1(array(select st.id from pawl.stream st where st.queue_id = q.id)) g), '[]'),
         coalesce((select jsonb_agg(distinct w.host) from pawl.worker w
           where w.ended_at is null and w.lease_until > pawl.now()
             and ('all' = any (w.off_here) or ('queue:' || q.name) = any (w.off_here))), '[]')
    from pawl.queue q order by q.id
$$;

-- Why a task is where it is: a row for each reason, the decisive first; none when there is no such task.
-- reason: running | scheduled | arrived | lane | off | concurrency | kind_concurrency | rate | breaker | no_worker | off_here | queued | dead | ended.
-- until: when it ends by itself, as far as is known. Counts are exact up to 10,000.
create function pawl.why_task_v1(p_id bigint) returns table (reason text, since timestamptz, until timestamptz, detail jsonb)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_task pawl.task;
  v_shard pawl.shard;
  v_kind text;
  v_queue text;
begin
  select t.* into v_task from pawl.task t where t.id = p_id and t.state <> 'blocked';
  if not found then
    return query
    select 'dead', d.died_at, null::timestamptz, jsonb_build_object('reason', d.reason, 'attempt', d.attempt,
             'error', d.error ->> 'message', 'lane', d.lane,
             'is_blocking', exists (select 1 from pawl.task t where t.id = d.id and t.state = 'blocked'))
      from pawl.dead d where d.id = p_id
    union all
    select 'ended', f.finished_at, null, jsonb_build_object('outcome', f.outcome, 'attempt', f.attempt, 'worker', f.worker_id,
             'error', f.error ->> 'message')
      from pawl.finished f where f.id = p_id;
    return;
  end if;
  select s.* into v_shard from pawl.shard s where s.id = v_task.shard_id;
  select st.kind, q.name into v_kind, v_queue
    from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.id = v_shard.stream_id;
  if v_task.state = 'scheduled' then
    return query select 'scheduled', null::timestamptz, v_task.run_at, jsonb_build_object('attempt', v_task.attempt,
      'error', v_task.last_error ->> 'message', 'is_late', v_task.run_at < pawl.now() - interval '5 seconds');
    return;
  elsif v_task.state = 'arrived' then
    return query select 'arrived', v_task.created_at, null::timestamptz, jsonb_build_object('lane', v_task.lane,
      'workers', (select count(*) from pawl.worker w where w.ended_at is null and w.lease_until > pawl.now()));
    return;
  elsif v_task.state = 'waiting' then
    return query select 'lane', v_task.created_at, null::timestamptz, jsonb_build_object('lane', v_task.lane,
      'head', (select t.id from pawl.task t where t.queue_id = v_task.queue_id and t.lane = v_task.lane
         and t.state in ('ready', 'scheduled', 'blocked')),
      'before', (select count(*) from (select 1 from pawl.task t where t.queue_id = v_task.queue_id and t.lane = v_task.lane
         and t.state = 'waiting' and t.id < v_task.id limit 10001) b));
    return;
  end if;
  return query
  select 'running', c.claimed_at, null::timestamptz, jsonb_build_object('worker', w.id, 'host', w.host, 'pid', w.pid,
           'attempt', v_task.attempt + 1, 'lease_until', w.lease_until, 'is_lease_over', w.lease_until <= pawl.now(),
           'cancel_requested_at', v_task.cancel_requested_at)
    from pawl.claim c join pawl.worker w on w.id = c.worker_id
   where c.shard_id = v_task.shard_id and v_task.seq = any (c.seqs);
  if found then return; end if;
  return query select g.reason, g.since, g.until, g.detail from pawl.gate_v1(array[v_shard.stream_id]) g
    order by g.reason <> 'off', g.reason, g.detail ->> 'scope';
  return query
  with knowing as materialized (
    select w.host, w.concurrency, w.running, 'all' = any (w.off_here) or ('queue:' || v_queue) = any (w.off_here) as is_off
      from pawl.worker w
     where w.ended_at is null and w.lease_until > pawl.now() and w.stop_requested_at is null and v_shard.stream_id = any (w.streams)
  ), total as (
    select count(*) as workers, count(*) filter (where k.is_off) as held, coalesce(sum(k.concurrency), 0) as slots,
           coalesce(sum(k.running), 0) as running, jsonb_agg(distinct k.host) filter (where k.is_off) as hosts from knowing k
  )
  select case when t.workers = 0 then 'no_worker' when t.held = t.workers then 'off_here' else 'queued' end,
         v_task.run_at, null::timestamptz, jsonb_build_object('kind', v_kind, 'queue', v_queue, 'workers', t.workers,
           'slots', t.slots, 'running', t.running, 'hosts', t.hosts, 'is_solo', v_shard.solo,
           'before', (select count(*) from (select 1 from pawl.task o where o.shard_id = v_shard.id and o.state = 'ready'
              and o.seq > v_shard.cursor and o.seq < v_task.seq limit 10001) b))
    from total t;
end $$;
