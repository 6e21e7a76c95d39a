-- How many tasks the limits let start: counted while the rows of the queue's limits and of the stream's breaker are locked.

-- Tasks of a queue that run now: in a claim and not settled.
create or replace function pawl.running_in(p_queue int) returns int
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select count(*)::int from pawl.claimed_task c where c.queue_id = p_queue
$$;

-- The same of one stream.
create or replace function pawl.running_of(p_stream int) returns int
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select count(*)::int from pawl.claimed_task c
   where c.queue_id = (select st.queue_id from pawl.stream st where st.id = p_stream) and c.stream_id = p_stream
$$;

-- How many starts a rate permits at a time (GCRA): after them the tat may be at most burst gaps ahead.
create or replace function pawl.starts_left(p_gap interval, p_burst int, p_tat timestamptz, p_now timestamptz) returns int
language sql stable -- and not immutable: so it is inlined
return case when p_gap is null then null else greatest(floor(
    extract(epoch from p_now + p_burst * p_gap - greatest(p_tat, p_now)) / extract(epoch from p_gap)), 0)::int end;

-- How many of p_wanted tasks of a stream the limits let start, and the time for which that was counted. Holds the limits
-- until the transaction ends, so that nobody else counts at the same time; null if somebody else holds them (with p_waits: for
-- longer than lock_timeout). is_keyed: the queue has limits per key too, and those are counted by pawl.next_of_keys.
-- Lock order: the queue's limits, then the stream's breaker.
create or replace function pawl.allowed_starts(p_queue int, p_stream int, p_wanted int, p_waits boolean, out starts int, out at timestamptz,
  out is_keyed boolean)
language plpgsql volatile as $$
declare
  v_limit pawl.queue_limit;
  v_breaker pawl.breaker;
begin
  if p_waits then
    begin
      select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue for update;
      select b.* into v_breaker from pawl.breaker b where b.stream_id = p_stream and b.phase <> 'closed' for update;
    exception when lock_not_available then return; -- what else the turn does goes on
    end;
  else
    select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue for update skip locked;
    if not found and exists (select 1 from pawl.queue_limit l where l.queue_id = p_queue) then return; end if;
    select b.* into v_breaker from pawl.breaker b where b.stream_id = p_stream and b.phase <> 'closed' for update skip locked;
    if not found and exists (select 1 from pawl.breaker b where b.stream_id = p_stream and b.phase <> 'closed') then return; end if;
  end if;
  at := pawl.clock_now();
  -- running tasks are counted in a statement after the lock, which sees every claim that was made before
  starts := least(p_wanted, v_limit.concurrency - case when v_limit.concurrency is not null then pawl.running_in(p_queue) end,
    pawl.starts_left(v_limit.gap, v_limit.burst, v_limit.tat, at));
  if v_limit.kind_gap is not null then
    starts := least(starts, pawl.starts_left(v_limit.kind_gap, v_limit.kind_burst,
      coalesce((select k.tat from pawl.kind_pace k where k.stream_id = p_stream), '-infinity'), at));
  end if;
  is_keyed := v_limit.key_concurrency is not null or v_limit.key_gap is not null;
  if v_limit.kind_concurrency is not null or v_breaker.phase is not null then
    starts := least(starts, least(v_limit.kind_concurrency, pawl.breaker_starts(v_breaker, at)) - pawl.running_of(p_stream));
  end if;
  if v_breaker.phase = 'open' then
    if starts > 0 and pawl.is_probe_untold(v_breaker.probe_id, v_breaker.probe_seq, at) then starts := 0; end if;
  end if;
end $$;

create or replace function pawl.count_starts(p_queue int, p_stream int, p_starts bigint, p_at timestamptz) returns void
language plpgsql volatile as $$
begin
  update pawl.queue_limit l set tat = greatest(l.tat, p_at) + p_starts * l.gap
   where l.queue_id = p_queue and l.gap is not null;
  insert into pawl.kind_pace as k (stream_id, tat)
  select p_stream, p_at + p_starts * l.kind_gap from pawl.queue_limit l where l.queue_id = p_queue and l.kind_gap is not null
  on conflict (stream_id) do update set tat = greatest(k.tat, p_at) + (excluded.tat - p_at);
end $$;

-- No tat lies further ahead than the burst of its rate allows: one that does is of an earlier, slower rate, or of a clock that was ahead. It is
-- brought back, so that the next start is due after one gap of the rate that holds now. The caller holds all limits.
create or replace function pawl.bound_paces() returns void
language plpgsql volatile as $$
declare
  v_at timestamptz := pawl.clock_now(); -- after the limits were waited for
begin
  update pawl.queue_limit l set tat = v_at + l.burst * l.gap where l.tat > v_at + l.burst * l.gap;
  update pawl.kind_pace k set tat = v_at + l.kind_burst * l.kind_gap
    from pawl.stream st join pawl.queue_limit l on l.queue_id = st.queue_id
   where st.id = k.stream_id and k.tat > v_at + l.kind_burst * l.kind_gap;
  update pawl.key_pace k set tat = v_at + l.key_burst * l.key_gap, due_at = case when k.due_at is not null then v_at + l.key_gap end
    from pawl.queue_limit l
   where l.paced_until > v_at + l.key_burst * l.key_gap and k.queue_id = l.queue_id and k.tat > v_at + l.key_burst * l.key_gap;
  update pawl.queue_limit l set paced_until = v_at + l.key_burst * l.key_gap where l.paced_until > v_at + l.key_burst * l.key_gap;
end $$;
