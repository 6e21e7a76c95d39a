-- Why a task is where it is.

-- Why a task is where it is: a row for each reason, the decisive first; none when there is no such task.
-- reason: running | scheduled | arrived | lane | limit_key | off | quiet | concurrency | kind_concurrency | rate | kind_rate | breaker | no_worker | off_here | queued | dead | ended.
-- until: when it ends by itself, as far as is known. Counts are exact up to 10,000.
create or replace function pawl.why_task_is_there(p_id bigint) returns table (reason text, since timestamptz, until timestamptz, detail jsonb)
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
    select 'ended', f.finished_at, null, jsonb_build_object('outcome', f.outcome, 'attempt', f.attempt, 'worker_id', f.worker_id,
             'error', f.error ->> 'message')
      from pawl.finished f where f.id = p_id;
    return;
  end if;
  select s.* into v_shard from pawl.shard s where s.id = v_task.shard_id;
  select st.kind, q.name into v_kind, v_queue
    from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.id = v_shard.stream_id;
  if v_task.state = 'scheduled' then
    return query select case when v_task.run_at = 'infinity' then 'parked' else 'scheduled' end, null::timestamptz,
      nullif(v_task.run_at, 'infinity'), jsonb_build_object('attempt', v_task.attempt,
      'error', v_task.last_error ->> 'message', 'is_late', v_task.run_at < pawl.now() - interval '5 seconds')
      || case when v_task.run_at = 'infinity' then pawl.why_after(p_id) else '{}' end;
    return;
  elsif v_task.state = 'arrived' then
    return query select 'arrived', v_task.created_at, null::timestamptz, jsonb_build_object('lane', v_task.lane,
      'workers', (select count(*) from pawl.worker w where w.ended_at is null and w.lease_until > pawl.now()));
    return;
  elsif v_task.state = 'waiting' then
    return query select 'lane', v_task.created_at, null::timestamptz, jsonb_build_object('lane', v_task.lane,
      'head_id', (select t.id from pawl.task t where t.queue_id = v_task.queue_id and t.lane = v_task.lane
         and t.state in ('ready', 'scheduled', 'blocked', 'limited')),
      'before', (select count(*) from (select 1 from pawl.task t where t.queue_id = v_task.queue_id and t.lane = v_task.lane
         and t.state = 'waiting' and t.id < v_task.id limit 10001) b));
    return;
  elsif v_task.state = 'limited' then
    return query select 'limit_key', v_task.created_at, k.until, k.detail from pawl.why_limited(v_task) k;
    return;
  end if;
  return query
  select 'running', c.claimed_at, null::timestamptz, jsonb_build_object('worker_id', w.id, 'host', w.host, 'pid', w.pid,
           'attempt', v_task.attempt + 1, 'lease_until', w.lease_until, 'is_lease_over', w.lease_until <= pawl.now(),
           'cancel_requested_at', v_task.cancel_requested_at)
    from pawl.claim c join pawl.worker w on w.id = c.worker_id
   where c.shard_id = v_task.shard_id and v_task.seq = any (c.seqs);
  if found then return; end if;
  return query select g.reason, g.since, g.until, g.detail from pawl.gate_v1(array[v_shard.stream_id]) g
    order by g.reason <> 'off', g.reason, g.detail ->> 'scope';
  return query
  with knowing as materialized (
    select w.host, w.concurrency, w.running, v_shard.stream_id = any (w.full_streams) as is_full, pawl.scopes_of(v_queue, v_kind) && w.off_here as is_off
      from pawl.worker w
     where w.ended_at is null and w.lease_until > pawl.now() and w.stop_requested_at is null and v_shard.stream_id = any (w.streams)
  ), total as (
    select count(*) as workers, count(*) filter (where k.is_off) as held, count(*) filter (where k.is_full or k.is_off) as full, coalesce(sum(k.concurrency), 0) as slots,
           coalesce(sum(k.running), 0) as running, jsonb_agg(distinct k.host) filter (where k.is_off) as hosts from knowing k
  )
  select case when t.workers = 0 then 'no_worker' when t.held = t.workers then 'off_here' else 'queued' end,
         v_task.run_at, null::timestamptz, jsonb_build_object('kind', v_kind, 'queue', v_queue, 'workers', t.workers,
           'slots', t.slots, 'running', t.running, 'hosts', t.hosts, 'is_solo', v_shard.solo,
           'share', case when t.full = t.workers then pawl.running_of(v_shard.stream_id) end,
           'before', (select count(*) from (select 1 from pawl.task o where o.shard_id = v_shard.id and o.state = 'ready'
              and o.seq > v_shard.cursor and o.seq < v_task.seq limit 10001) b))
    from total t;
end $$;

-- Finds the session that locks, in a transaction of more than a second, a row that a task needs to go on, or the gate. xmax names the
-- transaction that locked a row; only one that is open has a lock of its own. If the session's times are not visible, it is
-- looked at again a second later.
create or replace function pawl.lockers_of(p_id bigint) returns table (since timestamptz, detail jsonb)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_one record;
  v_is_old boolean := false;
begin
  for v_one in
    with task as materialized (
      select t.xmax as held, t.id, t.shard_id, t.seq, s.xmax as shard_held, s.stream_id, s.queue_id
        from pawl.task t join pawl.shard s on s.id = t.shard_id where t.id = p_id
    ), held as materialized (
      select 'its row' as what, k.held as xid from task k
      union all
      select 'its claim', c.xmax from task k join pawl.claim c on c.shard_id = k.shard_id and k.seq = any (c.seqs)
      union all
      select 'the shard that it lies in', k.shard_held from task k
      union all
      select 'the limits of its queue', l.xmax from task k join pawl.queue_limit l on l.queue_id = k.queue_id
      union all
      select 'the breaker of its kind', b.xmax from task k join pawl.breaker b on b.stream_id = k.stream_id
    ), holder as (
      select h.what, l.pid, h.xid from held h
        join pg_locks l on l.locktype = 'transactionid' and l.transactionid = h.xid and l.granted and l.mode = 'ExclusiveLock'
      union all
      select 'the gate of all queues', l.pid, null from pg_locks l
       where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock' and l.objsubid = 1
         and l.database = (select d.oid from pg_database d where d.datname = current_database())
         and (l.classid::bigint << 32 | l.objid::bigint) = pawl.gate_lock()
    )
    select h.what, h.pid, h.xid, a.usename, nullif(a.application_name, '') as application, a.state, a.xact_start
      from holder h join pg_stat_activity a on a.pid = h.pid
     where a.xact_start is null or a.xact_start < clock_timestamp() - interval '1 second'
     order by h.what
  loop
    if v_one.xact_start is null then
      if not v_is_old then perform pg_sleep(1); end if;
      v_is_old := true;
      continue when not exists (select 1 from pg_locks l where l.pid = v_one.pid and l.granted and l.mode = 'ExclusiveLock'
        and (l.transactionid = v_one.xid or (v_one.xid is null and l.locktype = 'advisory')));
    end if;
    since := v_one.xact_start;
    detail := jsonb_build_object('what', v_one.what, 'pid', v_one.pid, 'user', v_one.usename, 'application', v_one.application,
      'state', v_one.state);
    return next;
  end loop;
end $$;

create or replace function pawl.why_task_v1(p_id bigint) returns table (reason text, since timestamptz, until timestamptz, detail jsonb)
language sql stable as $$
  select w.* from pawl.why_task_is_there(p_id) w
  union all
  select 'locked', l.since, null, l.detail from pawl.lockers_of(p_id) l
$$;
