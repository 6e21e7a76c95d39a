-- Workers' leases: start, heartbeat, end; and how idle ones are woken.

create or replace function pawl.lease_length() returns interval
language sql immutable return interval '10 seconds';

-- The lock of a worker is (class, worker id). The schema's name is in the class: workers of two schemas have the same ids.
create or replace function pawl.worker_locks() returns int
language sql immutable return hashtext('pawl.worker');

-- A worker that slept through its lease writes nothing.
create or replace function pawl.require_lease(p_worker int) returns void
language plpgsql volatile as $$
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker);
  perform 1 from pawl.worker w where w.id = p_worker and w.ended_at is null and w.lease_until > pawl.now();
  if not found then
    raise exception 'worker %: lease lost', p_worker using errcode = 'PW001',
      hint = 'its tasks go back to the queue; the worker registers again';
  end if;
end $$;

-- Ends a handler's own transaction, and releases its locks, when its client is silent for this long.
create or replace function pawl.limit_silence_v1() returns void
language plpgsql volatile as $$
begin
  perform set_config('idle_in_transaction_session_timeout', (extract(epoch from pawl.lease_length()) * 1000)::int::text, true);
end $$;

-- Wakes idle workers. NOTIFY takes a database-wide lock at commit, so it is sent only if a worker has said that it is idle and, if
-- streams are given, can run one of them.
create or replace function pawl.wake_v1(p_streams int[] default null) returns void
language sql volatile as $$
  select pg_notify('pawl.wake', '')
   where exists (select 1 from pawl.worker w
     where w.idle and w.ended_at is null and (p_streams is null or w.streams && p_streams))
$$;

create or replace function pawl.start_worker_v1(p_worker jsonb) returns int
language sql volatile as $$
  insert into pawl.worker (host, pid, application, revision, queues, serves, concurrency, refused, streams, off_here, off_seen, lease_until)
  select w.host, w.pid, w.application, w.revision, w.queues, coalesce(w.serves, '{}'), w.concurrency, coalesce(w.refused, 0),
         coalesce(w.streams, '{}'), coalesce(w.off_here, '{}'), (select e.epoch from pawl.off_epoch e), pawl.now() + pawl.lease_length()
    from jsonb_to_record(p_worker) as w (host text, pid int, application text, revision int, queues text[], serves text[],
      concurrency int, refused bigint, streams int[], off_here text[])
  returning id
$$;

-- Keeps the lease. p_known are the numbers of the claims that the worker runs or has asked for, all below p_next;
-- its other claims below p_next are orphans of turns whose answer was lost, and go back.
-- cancelled: the tasks it runs whose cancellation was asked for. off_epoch: for a worker that missed a switch. p_streams, p_off_here, p_full: null if unchanged.
create or replace function pawl.heartbeat_v1(p_worker int, p_known bigint[], p_next bigint, p_running int, p_refused int, p_tally jsonb,
  p_streams int[], p_off_here text[], p_full int[] default null)
returns table (stop_requested boolean, orphans int, cancelled bigint[], off_epoch bigint, lease_ms int, is_tallied boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '1s' as $$
declare
  v_stop boolean;
  v_orphans bigint[];
  v_back int := 0;
  v_is_tallied boolean := true;
begin
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker); -- before the worker's row, as rescue does
  update pawl.worker w
     set heartbeat_at = pawl.now(), lease_until = pawl.now() + pawl.lease_length(), running = p_running,
         refused = w.refused + p_refused, streams = coalesce(p_streams, w.streams),
         off_here = coalesce(p_off_here, w.off_here), full_streams = coalesce(p_full, w.full_streams)
   where w.id = p_worker and w.ended_at is null and w.lease_until > pawl.now()
  returning w.stop_requested_at is not null into v_stop;
  if not found then
    raise exception 'worker %: lease lost', p_worker using errcode = 'PW001',
      hint = 'its tasks go back to the queue; the worker registers again';
  end if;
  -- a locked row does not cost the lease: a later heartbeat does the rest
  begin
    insert into pawl.tally as y (stream_id, minute, done, retried, dead)
    select d.stream_id, date_trunc('minute', pawl.now()), d.done, d.retried, d.dead
      from jsonb_to_recordset(p_tally) as d (stream_id int, done bigint, retried bigint, dead bigint)
     order by d.stream_id
    on conflict (minute, stream_id) do update
       set done = y.done + excluded.done, retried = y.retried + excluded.retried, dead = y.dead + excluded.dead;
  exception when lock_not_available then v_is_tallied := false;
  end;
  select array_agg(c.no) into v_orphans from pawl.claim c
   where c.worker_id = p_worker and c.no < p_next and not c.no = any (p_known);
  begin
    if v_orphans is not null then v_back := pawl.give_back_v1(p_worker, v_orphans); end if;
  exception when lock_not_available then v_back := 0;
  end;
  return query
  select v_stop, v_back, (select array_agg(c.id) from pawl.claimed_task c where c.worker_id = p_worker and c.cancel_requested_at is not null),
         (select e.epoch from pawl.off_epoch e), (extract(epoch from pawl.lease_length()) * 1000)::int, v_is_tallied;
end $$;

-- Writes the progress that handlers report. Never waits: a task that is being settled needs none any more.
create or replace function pawl.progress_v1(p_worker int, p_ids bigint[], p_seqs bigint[], p_values text[]) returns void
language sql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with mine as materialized (
    select t.id from pawl.task t
     where t.id = any (p_ids) and t.state <> 'scheduled' and t.state <> 'blocked' -- is ready
       and exists (select 1 from pawl.worker w where w.id = p_worker and w.ended_at is null and w.lease_until > pawl.now())
       for update skip locked
  )
  update pawl.task t set progress = s.value::jsonb from unnest(p_ids, p_seqs, p_values) s (id, seq, value)
   where t.id = any (array(select m.id from mine m)) and t.id = s.id and t.seq = s.seq
$$;

create or replace function pawl.set_idle_v1(p_worker int, p_idle boolean) returns void
language sql volatile
set lock_timeout = '1s' as $$
  update pawl.worker set idle = p_idle where id = p_worker and idle <> p_idle
$$;

-- Ends a worker that stops in good order: what it still holds is given back.
create or replace function pawl.end_worker_v1(p_worker int) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '2s' as $$
declare
  v_count int;
begin
  -- exclusively: a turn of this worker that it no longer waits for has then ended, and no other follows
  perform pg_advisory_xact_lock(pawl.worker_locks(), p_worker);
  v_count := pawl.give_back_v1(p_worker,
    coalesce((select array_agg(c.no) from pawl.claim c where c.worker_id = p_worker), '{}'));
  update pawl.worker w set ended_at = pawl.now(), ended_why = 'stopped', idle = false, running = 0
   where w.id = p_worker and w.ended_at is null;
  return v_count;
end $$;

-- Asks every live worker to stop: finish or give back, then exit.
create or replace function pawl.stop_workers_v1() returns int
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
