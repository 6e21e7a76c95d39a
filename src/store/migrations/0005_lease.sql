-- Workers' leases: start, heartbeat, end, rescue; and the promotion of what became due.

create function pawl.lease_length() returns interval
language sql immutable as $$ select interval '10 seconds' $$;

create function pawl.start_worker_v1(p_worker jsonb) returns int
language sql volatile as $$
  insert into pawl.worker (host, pid, application, revision, queues, concurrency, refused, lease_until)
  select w.host, w.pid, w.application, w.revision, w.queues, w.concurrency, coalesce(w.refused, 0),
         pawl.now() + pawl.lease_length()
    from jsonb_to_record(p_worker)
      as w (host text, pid int, application text, revision int, queues text[], concurrency int, refused bigint)
  returning id
$$;

-- Gives unsettled tasks of these claims back, uncounted, in their old order; the claims go.
create function pawl.give_back_v1(p_worker int, p_claims bigint[]) returns int
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_count int;
begin
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker);
  perform pg_current_xact_id(); -- before the first seq
  with held as materialized (
    select t.id, t.seq from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
      join pawl.task t on t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq
     where c.worker_id = p_worker and c.no = any (p_claims)
     order by t.id for update of t
  ), numbered as materialized (
    select h.id, h.seq, nextval('pawl.seq') as seq_new from (select * from held order by seq) h
  ), back as (
    update pawl.task t set seq = n.seq_new from numbered n where t.id = n.id and t.seq = n.seq returning 1
  )
  select count(*) into v_count from back;
  delete from pawl.claim c where c.worker_id = p_worker and c.no = any (p_claims);
  if v_count > 0 then perform pawl.wake_v1(); end if;
  return v_count;
end $$;

-- Keeps the lease. p_known are the numbers of the claims that the worker runs or has asked for, all below p_next;
-- its other claims below p_next are orphans of turns whose answer was lost, and go back.
create function pawl.heartbeat_v1(p_worker int, p_known bigint[], p_next bigint, p_running int, p_refused int, p_tally jsonb)
returns table (stop_requested boolean, orphans int)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_stop boolean;
  v_orphans bigint[];
begin
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker); -- before the worker's row, as rescue does
  update pawl.worker w
     set heartbeat_at = pawl.now(), lease_until = pawl.now() + pawl.lease_length(), running = p_running,
         refused = w.refused + p_refused
   where w.id = p_worker and w.ended_at is null and w.lease_until > pawl.now()
  returning w.stop_requested_at is not null into v_stop;
  if not found then
    raise exception 'worker %: lease lost', p_worker using errcode = 'PW001',
      hint = 'its tasks go back to the queue; the worker registers anew';
  end if;
  insert into pawl.tally as y (stream_id, minute, done, retried, dead)
  select d.stream_id, date_trunc('minute', pawl.now()), d.done, d.retried, d.dead
    from jsonb_to_recordset(p_tally) as d (stream_id int, done bigint, retried bigint, dead bigint)
   order by d.stream_id
  on conflict (minute, stream_id) do update
     set done = y.done + excluded.done, retried = y.retried + excluded.retried, dead = y.dead + excluded.dead;
  select array_agg(c.no) into v_orphans from pawl.claim c
   where c.worker_id = p_worker and c.no < p_next and not c.no = any (p_known);
  return query
  select v_stop, case when v_orphans is null then 0 else pawl.give_back_v1(p_worker, v_orphans) end;
end $$;

create function pawl.set_idle_v1(p_worker int, p_idle boolean) returns void
language sql volatile as $$
  update pawl.worker set idle = p_idle where id = p_worker and idle <> p_idle
$$;

-- A worker that stops in good order gives back what it still holds.
create function pawl.end_worker_v1(p_worker int) returns int
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_count int;
begin
  v_count := pawl.give_back_v1(p_worker,
    coalesce((select array_agg(c.no) from pawl.claim c where c.worker_id = p_worker), '{}'));
  update pawl.worker w set ended_at = pawl.now(), ended_why = 'stopped', idle = false, running = 0
   where w.id = p_worker and w.ended_at is null;
  return v_count;
end $$;

-- Takes the tasks of workers whose lease ran out: the attempt is counted as lost. The lease was the pause, so the
-- policy's delay is cut to 3 s: a lost task runs again within 15 s. Lost tasks are claimed alone next time, and only a
-- loss at which the worker ran nothing else counts as the task's own crash.
create function pawl.rescue_v1() returns table (worker_id int, tasks int)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_worker int;
  v_error jsonb;
  v_lost jsonb;
begin
  for v_worker in
    select w.id from pawl.worker w
     where w.ended_at is null and w.lease_until <= pawl.now() order by w.id limit 10
  loop
    continue when not pg_try_advisory_xact_lock(pawl.worker_locks(), v_worker);
    update pawl.worker w set ended_at = pawl.now(), ended_why = 'lost', idle = false, running = 0
     where w.id = v_worker and w.ended_at is null and w.lease_until <= pawl.now();
    continue when not found;
    v_error := jsonb_build_object('name', 'WorkerLost', 'message', format('worker %s: its lease ran out while it ran this task', v_worker));
    select jsonb_agg(jsonb_build_object('id', l.id, 'seq', l.seq, 'claim', l.no, 'outcome', 'lost',
        'error', v_error, 'delay_ms_max', 3000, 'alone', l.total = 1)) into v_lost
      from (select t.id, t.seq, c.no, count(*) over () as total
              from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
              join pawl.task t on t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq
             where c.worker_id = v_worker) l;
    if v_lost is not null then perform pawl.fail_v1(v_worker, v_lost); end if;
    delete from pawl.claim c where c.worker_id = v_worker;
    worker_id := v_worker;
    tasks := coalesce(jsonb_array_length(v_lost), 0);
    return next;
  end loop;
end $$;

-- Makes due tasks ready; one promoter at a time. next_ms: how long until the next one is due, null when none is.
create function pawl.promote_v1(p_limit int) returns table (promoted int, next_ms int)
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_promoted int := 0;
  v_next timestamptz;
begin
  select min(t.run_at) into v_next from pawl.task t where t.state = 'scheduled';
  if v_next <= pawl.now() and pg_try_advisory_xact_lock(hashtextextended('pawl.promote', 0)) then
    perform pg_current_xact_id(); -- before the first seq
    with due as materialized (
      select t.id from pawl.task t where t.state = 'scheduled' and t.run_at <= pawl.now()
       order by t.run_at, t.id limit p_limit for update skip locked
    ), numbered as materialized (
      select d.id, nextval('pawl.seq') as seq from due d
    ), ready as (
      update pawl.task t set state = 'ready', seq = n.seq from numbered n where t.id = n.id returning 1
    )
    select count(*) into v_promoted from ready;
    if v_promoted > 0 then perform pawl.wake_v1(); end if;
    select min(t.run_at) into v_next from pawl.task t where t.state = 'scheduled';
  end if;
  return query select v_promoted,
    least(greatest(extract(epoch from v_next - pawl.now()) * 1000, 0), 2147483647)::int;
end $$;

-- Asks every live worker to stop: finish or give back, then exit.
create function pawl.stop_workers_v1() returns int
language plpgsql volatile as $$
declare
  v_count int;
begin
  update pawl.worker w set stop_requested_at = pawl.now()
   where w.ended_at is null and w.lease_until > pawl.now() and w.stop_requested_at is null;
  get diagnostics v_count = row_count;
  perform pg_notify('pawl.wake', 'stop');
  return v_count;
end $$;
