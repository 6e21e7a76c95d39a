-- Workers' leases: start, heartbeat, end, rescue; and the promotion of what became due.

create function pawl.lease_length() returns interval
language sql immutable as $$ select interval '10 seconds' $$;

create function pawl.start_worker_v1(p_worker jsonb) returns int
language sql volatile as $$
  insert into pawl.worker (host, pid, application, revision, queues, concurrency, refused, streams, off_here, lease_until)
  select w.host, w.pid, w.application, w.revision, w.queues, w.concurrency, coalesce(w.refused, 0),
         coalesce(w.streams, '{}'), coalesce(w.off_here, '{}'), pawl.now() + pawl.lease_length()
    from jsonb_to_record(p_worker) as w (host text, pid int, application text, revision int, queues text[],
      concurrency int, refused bigint, streams int[], off_here text[])
  returning id
$$;

-- Gives unsettled tasks of these claims back, uncounted, in their old order; the claims go. What was to be cancelled is.
create function pawl.give_back_v1(p_worker int, p_claims bigint[]) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_back bigint[];
  v_cancelled bigint[];
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker);
  perform pg_current_xact_id(); -- before the first seq
  with held as materialized (
    select t.id, t.seq, t.cancel_requested_at
      from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
      join pawl.task t on t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq
     where c.worker_id = p_worker and c.no = any (p_claims)
     order by t.id for update of t
  )
  select array_agg(h.id order by h.seq) filter (where h.cancel_requested_at is null),
         array_agg(h.id) filter (where h.cancel_requested_at is not null)
    into v_back, v_cancelled from held h;
  update pawl.task t set seq = n.seq
    from (select u.id, nextval('pawl.seq') as seq from unnest(v_back) u (id)) n where t.id = n.id;
  if v_cancelled is not null then perform pawl.finish_v1(v_cancelled, 'cancelled', null); end if;
  delete from pawl.claim c where c.worker_id = p_worker and c.no = any (p_claims);
  if v_back is not null then perform pawl.wake_v1(); end if;
  return coalesce(cardinality(v_back), 0);
end $$;

-- Keeps the lease. p_known are the numbers of the claims that the worker runs or has asked for, all below p_next;
-- its other claims below p_next are orphans of turns whose answer was lost, and go back.
-- cancelled: the tasks it runs whose cancellation was asked for. p_streams, p_off_here: null when as before.
create function pawl.heartbeat_v1(p_worker int, p_known bigint[], p_next bigint, p_running int, p_refused int, p_tally jsonb,
  p_streams int[], p_off_here text[])
returns table (stop_requested boolean, orphans int, cancelled bigint[])
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_stop boolean;
  v_orphans bigint[];
  v_back int := 0;
begin
  perform pg_advisory_xact_lock_shared(pawl.worker_locks(), p_worker); -- before the worker's row, as rescue does
  update pawl.worker w
     set heartbeat_at = pawl.now(), lease_until = pawl.now() + pawl.lease_length(), running = p_running,
         refused = w.refused + p_refused, streams = coalesce(p_streams, w.streams),
         off_here = coalesce(p_off_here, w.off_here)
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
  if v_orphans is not null then v_back := pawl.give_back_v1(p_worker, v_orphans); end if;
  return query
  select v_stop, v_back, (select array_agg(t.id) from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
            join pawl.task t on t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq
           where c.worker_id = p_worker and t.cancel_requested_at is not null);
end $$;

-- What handlers say about their progress. Never waits: a row that is being settled needs none any more.
create function pawl.progress_v1(p_worker int, p_ids bigint[], p_seqs bigint[], p_values text[]) returns void
language sql volatile as $$
  with said as materialized (
    select t.id, s.value from unnest(p_ids, p_seqs, p_values) s (id, seq, value)
      join pawl.task t on t.id = s.id and t.seq = s.seq and t.state = 'ready'
      join pawl.worker w on w.id = p_worker and w.ended_at is null and w.lease_until > pawl.now()
       for update of t skip locked
  )
  update pawl.task t set progress = s.value::jsonb from said s where t.id = s.id
$$;

create function pawl.set_idle_v1(p_worker int, p_idle boolean) returns void
language sql volatile as $$
  update pawl.worker set idle = p_idle where id = p_worker and idle <> p_idle
$$;

-- A worker that stops in good order gives back what it still holds.
create function pawl.end_worker_v1(p_worker int) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_count int;
begin
  -- alone: a turn of this worker whose answer it no longer waits for has ended, and none comes after
  perform pg_advisory_xact_lock(pawl.worker_locks(), p_worker);
  v_count := pawl.give_back_v1(p_worker,
    coalesce((select array_agg(c.no) from pawl.claim c where c.worker_id = p_worker), '{}'));
  update pawl.worker w set ended_at = pawl.now(), ended_why = 'stopped', idle = false, running = 0
   where w.id = p_worker and w.ended_at is null;
  return v_count;
end $$;

-- Takes the tasks of a worker whose lease ran out, one worker a call: the attempt is counted as lost. The lease was the pause, so the
-- policy's delay is cut to 3 s: a lost task runs again within 15 s. Lost tasks are claimed alone next time, and only a
-- loss at which the worker ran nothing else counts as the task's own crash.
create function pawl.rescue_v1() returns table (worker_id int, tasks int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_worker int;
  v_error jsonb;
  v_lost jsonb;
begin
  for v_worker in
    select w.id from pawl.worker w
     where w.ended_at is null and w.lease_until <= pawl.now() order by w.id
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
    return;
  end loop;
end $$;

-- Makes due tasks ready; one promoter at a time. next_ms: how long until the next one is due, null when none is.
create function pawl.promote_v1(p_limit int) returns table (promoted int, next_ms int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_promoted int := 0;
  v_next timestamptz;
begin
  select min(t.run_at) into v_next from pawl.task t where t.state = 'scheduled';
  if v_next <= pawl.now() and pg_try_advisory_xact_lock(hashtextextended('pawl.promote', 0)) then
    perform pg_current_xact_id(); -- before the first seq
    -- what a crash undoes is done again, and the claim of what was promoted is written after it
    perform set_config('synchronous_commit', 'off', true);
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
  return query select v_promoted, case when v_next is not null then
    least(greatest(extract(epoch from v_next - pawl.now()) * 1000, 0), 2147483647)::int end;
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

-- Named leases: the right to a name (a source, a schedule, a command …) for one owner at a time. Each taking has a new
-- epoch, which fences every act under it. lease_until: free again after. next_slot: no earlier than this may the next
-- paced act happen; it survives its owners.
create table pawl.lease (
  name text primary key,
  epoch bigint not null default 0,
  owner text,
  taken_at timestamptz,
  heartbeat_at timestamptz,
  lease_until timestamptz not null default '-infinity',
  next_slot timestamptz not null default '-infinity'
) with (fillfactor = 40);

-- Takes a free lease. epoch is null when somebody else has it: then holder and lease_until say who and how long.
create function pawl.take_lease_v1(p_name text, p_owner text, p_length interval)
returns table (epoch bigint, holder text, lease_until timestamptz)
language plpgsql volatile as $$
#variable_conflict use_column
begin
  if p_name is null or p_name !~ '^[A-Za-z0-9_.:/@-]+$' or length(p_name) > 200 then
    raise exception 'bad name of a lease: %', coalesce('"' || left(p_name, 100) || '"', 'null') using errcode = 'PW010',
      hint = 'use 1 to 200 letters, digits, "_", ".", ":", "/", "@" and "-", such as "source:orders"';
  end if;
  return query
  insert into pawl.lease as l (name, epoch, owner, taken_at, heartbeat_at, lease_until)
  values (p_name, 1, p_owner, pawl.now(), pawl.now(), pawl.now() + p_length)
  on conflict (name) do update
     set epoch = l.epoch + 1, owner = p_owner, taken_at = pawl.now(), heartbeat_at = pawl.now(),
         lease_until = pawl.now() + p_length
   where l.lease_until <= pawl.now()
  returning l.epoch, l.owner, l.lease_until;
  if not found then
    return query select null::bigint, l.owner, l.lease_until from pawl.lease l where l.name = p_name;
  end if;
end $$;

create function pawl.no_such_lease(p_name text, p_epoch bigint) returns void
language plpgsql stable as $$
begin
  raise exception 'lease "%": lost (epoch %)', p_name, p_epoch using errcode = 'PW002',
    hint = coalesce((select format('%s has it with epoch %s', l.owner, l.epoch) from pawl.lease l
      where l.name = p_name and l.epoch > p_epoch and l.lease_until > pawl.now()), 'it ran out; take it again');
end $$;

-- The heartbeat of a named lease.
create function pawl.renew_lease_v1(p_name text, p_epoch bigint, p_length interval) returns timestamptz
language plpgsql volatile as $$
declare
  v_until timestamptz;
begin
  update pawl.lease l set heartbeat_at = pawl.now(), lease_until = pawl.now() + p_length
   where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now() returning l.lease_until into v_until;
  if not found then perform pawl.no_such_lease(p_name, p_epoch); end if;
  return v_until;
end $$;

-- Fences what the caller's transaction writes: until its end nobody else can take the lease.
create function pawl.hold_lease_v1(p_name text, p_epoch bigint) returns void
language plpgsql volatile as $$
begin
  perform 1 from pawl.lease l where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now() for share;
  if not found then perform pawl.no_such_lease(p_name, p_epoch); end if;
end $$;

-- Reserves the next slot, at least p_gap after the one before, and renews the lease: one UPDATE. Answers how long to
-- wait for it.
create function pawl.reserve_slot_v1(p_name text, p_epoch bigint, p_gap interval, p_length interval) returns interval
language plpgsql volatile as $$
declare
  v_slot timestamptz;
begin
  update pawl.lease l
     set next_slot = greatest(l.next_slot, pawl.now()) + p_gap, heartbeat_at = pawl.now(),
         lease_until = pawl.now() + p_length
   where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now()
  returning l.next_slot - p_gap into v_slot;
  if not found then perform pawl.no_such_lease(p_name, p_epoch); end if;
  return greatest(v_slot - pawl.now(), interval '0');
end $$;

-- False when it was no longer the caller's: a later owner keeps it.
create function pawl.release_lease_v1(p_name text, p_epoch bigint) returns boolean
language plpgsql volatile as $$
begin
  update pawl.lease l set lease_until = pawl.now()
   where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now();
  return found;
end $$;
