-- The gate: which streams may start work now, and why not. Every reason is a row of gate_v1; looking, claiming,
-- lists and `why` read the same one.

-- What a person turned off. A switch whose end has passed holds nothing. drops: what would go to this destination is
-- dropped, not held.
create table pawl.switch (
  scope text not null check (scope in ('all', 'queue')),
  name text not null default '',
  off_by text not null,
  why text,
  since timestamptz not null default pawl.now(),
  until timestamptz,
  drops boolean not null default false,
  primary key (scope, name),
  check ((scope = 'all') = (name = ''))
);

-- Every act of an operator. Rows are only ever added.
create table pawl.audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default pawl.now(),
  by text not null,
  action text not null,
  target text not null,
  why text,
  detail jsonb
);
create index audit_by_target on pawl.audit (target, id);

create function pawl.audit_v1(p_by text, p_action text, p_target text, p_why text, p_detail jsonb) returns void
language sql volatile as $$
  insert into pawl.audit (by, action, target, why, detail)
  values (coalesce(nullif(p_by, ''), current_user), p_action, p_target, nullif(p_why, ''), p_detail)
$$;

-- Claims hold this lock shared and then read the switches; who throws a switch holds it alone. So once a switch is
-- committed, no claim that has not seen it is open. READ COMMITTED: the read must be a statement of its own.
create function pawl.gate_lock() returns bigint
language sql immutable as $$ select hashtextextended('pawl.gate', 0) $$;

create function pawl.is_off_all() returns boolean
language sql stable as $$
  select exists (select 1 from pawl.switch w where w.scope = 'all' and (w.until is null or w.until > pawl.now()))
$$;

-- Work of a transaction that is no task, such as storing a batch: whether it may begin. The lock says until its end that
-- it runs. It comes first: who has turned everything off either finds it held, or is seen here.
create function pawl.begin_batch() returns boolean
language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock_shared(pawl.batch_lock());
  return not pawl.is_off_all();
end $$;

create function pawl.batch_lock() returns bigint
language sql immutable as $$ select hashtextextended('pawl.batch', 0) $$;

create function pawl.running_batches() returns int
language sql stable as $$
  select count(*)::int from pg_locks l
   where l.locktype = 'advisory' and l.granted and l.database = (select d.oid from pg_database d where d.datname = current_database())
     and l.objsubid = 1 and (l.classid::bigint << 32 | l.objid::bigint) = pawl.batch_lock()
$$;

-- p_scope: all, or queue:<name>. Answers the scope and the name.
create function pawl.scope_of(p_scope text, out scope text, out name text)
language plpgsql stable as $$
begin
  scope := split_part(p_scope, ':', 1);
  name := substr(p_scope, length(scope) + 2);
  if p_scope = 'all' then return; end if;
  if scope <> 'queue' or name = '' or p_scope is null then
    raise exception 'bad scope %', coalesce('"' || left(p_scope, 100) || '"', 'null') using errcode = 'PW010',
      hint = 'a scope is "all" or "queue:<name>"';
  end if;
  if not exists (select 1 from pawl.queue q where q.name = scope_of.name) then
    raise exception 'unknown queue "%"', name using errcode = 'PW013',
      hint = coalesce('known: ' || (select string_agg(q.name, ', ' order by q.name) from pawl.queue q), 'no queue is defined yet: start a worker');
  end if;
end $$;

-- Once this has committed, nothing of the scope starts until it is on again, or p_until has come.
create function pawl.off_v1(p_scope text, p_by text, p_why text, p_until timestamptz) returns void
language plpgsql volatile as $$
declare
  v_scope text;
  v_name text;
begin
  select s.scope, s.name into v_scope, v_name from pawl.scope_of(p_scope) s;
  if p_until <= pawl.now() then
    raise exception 'off %: expected the end to lie ahead, got %', p_scope, p_until using errcode = 'PW010',
      hint = 'leave it out to stay off until somebody turns it on';
  end if;
  perform pg_advisory_xact_lock(pawl.gate_lock());
  insert into pawl.switch as w (scope, name, off_by, why, until)
  values (v_scope, v_name, coalesce(nullif(p_by, ''), current_user), nullif(p_why, ''), p_until)
  on conflict (scope, name) do update
     set off_by = excluded.off_by, why = excluded.why, until = excluded.until, drops = false,
         since = case when w.until <= pawl.now() then pawl.now() else w.since end;
  perform pawl.audit_v1(p_by, 'off', p_scope, p_why, jsonb_build_object('until', p_until));
end $$;

-- Answers whether it was off. A queue's breakers are closed: what a person turns on starts now.
create function pawl.on_v1(p_scope text, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
declare
  v_was_off boolean;
begin
  delete from pawl.switch w using pawl.scope_of(p_scope) s where w.scope = s.scope and w.name = s.name
  returning w.until is null or w.until > pawl.now() into v_was_off;
  delete from pawl.breaker b using pawl.stream st, pawl.queue q
   where st.id = b.stream_id and q.id = st.queue_id and 'queue:' || q.name = p_scope;
  perform pawl.audit_v1(p_by, 'on', p_scope, p_why, null);
  perform pg_notify('pawl.wake', '');
  return coalesce(v_was_off, false);
end $$;

-- Tasks of a queue that run now: in a claim and not settled.
create function pawl.running_in(p_queue int) returns int
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select count(*)::int from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
    join pawl.task t on t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq
   where c.queue_id = p_queue
$$;

-- The same of one stream.
create function pawl.running_of(p_stream int) returns int
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select count(*)::int
    from pawl.claim c cross join lateral unnest(c.seqs) u (seq)
    join pawl.task t on t.shard_id = c.shard_id and t.state = 'ready' and t.seq = u.seq
   where c.queue_id = (select st.queue_id from pawl.stream st where st.id = p_stream) and c.stream_id = p_stream
$$;

-- Starts that a rate lets through at a time (GCRA): the row's tat may lie at most burst gaps ahead after them.
create function pawl.starts_left(p_limit pawl.queue_limit, p_now timestamptz) returns int
language sql immutable as $$
  select case when p_limit.gap is null then null else greatest(floor(
    extract(epoch from p_now + p_limit.burst * p_limit.gap - greatest(p_limit.tat, p_now))
      / extract(epoch from p_limit.gap)), 0)::int end
$$;

-- The breaker of a stream whose attempts fail; no row: closed, and nothing has failed lately.
-- closed: counts, in a window, until too many have failed. open: nothing starts until a time, then one at a time as a
-- probe (probe_id, probe_seq: the last one, until a report comes). recovering: the probe went well, and more and more may
-- run at once (starts) until the row goes.
create table pawl.breaker (
  stream_id int primary key references pawl.stream (id) on delete cascade,
  phase text not null default 'closed' check (phase in ('closed', 'open', 'recovering')),
  since timestamptz not null default pawl.now(),
  until timestamptz,
  ok int not null default 0,
  failed int not null default 0,
  trips smallint not null default 0,
  starts int,
  probe_id bigint,
  probe_seq bigint,
  error jsonb,
  check (phase <> 'open' or until is not null),
  check (phase <> 'recovering' or starts is not null)
) with (fillfactor = 40);
create index breaker_not_closed on pawl.breaker (stream_id) where phase <> 'closed';

-- How many of a stream may run at once because of its breaker; null: any number.
create function pawl.breaker_starts(p_breaker pawl.breaker, p_now timestamptz) returns int
language sql immutable as $$
  select case p_breaker.phase when 'open' then case when p_breaker.until > p_now then 0 else 1 end
    when 'recovering' then p_breaker.starts end
$$;

-- Workers say how attempts went: [{"stream", "ok", "failed", "hold_ms"?, "error"?}]. hold_ms: the receiver asked for a
-- pause of this length, which it gets up to the longest that a breaker stays open. Answers the breakers whose phase has changed.
create function pawl.report_v1(p_reports jsonb) returns table (stream_id int, phase text, until timestamptz)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_report record;
  v_row pawl.breaker;
  v_before text;
  v_has_changed boolean := false;
begin
  for v_report in
    select r.stream, r.ok, r.failed, r.hold_ms, r.error, q.breaker as policy
      from jsonb_to_recordset(p_reports) as r (stream int, ok int, failed int, hold_ms bigint, error jsonb)
      join pawl.stream st on st.id = r.stream join pawl.queue q on q.id = st.queue_id
     where q.breaker is not null order by r.stream
  loop
    if v_report.failed > 0 or v_report.hold_ms is not null then
      -- an update, not nothing: another report may be removing the row at this moment
      insert into pawl.breaker as b (stream_id) values (v_report.stream)
      on conflict (stream_id) do update set failed = b.failed;
    end if;
    select b.* into v_row from pawl.breaker b where b.stream_id = v_report.stream for update;
    continue when not found;
    v_before := v_row.phase;
    v_row := pawl.judge_breaker(v_row, v_report.ok, v_report.failed, v_report.hold_ms, v_report.policy, v_now);
    if v_row.phase is null then
      delete from pawl.breaker b where b.stream_id = v_report.stream;
    else
      update pawl.breaker b
         set phase = v_row.phase, since = v_row.since, until = v_row.until, ok = v_row.ok, failed = v_row.failed,
             trips = v_row.trips, starts = v_row.starts, probe_id = v_row.probe_id, probe_seq = v_row.probe_seq,
             error = coalesce(v_report.error, b.error)
       where b.stream_id = v_report.stream;
    end if;
    continue when v_row.phase = 'closed' or v_row.phase is not distinct from v_before and v_row.since < v_now;
    stream_id := v_report.stream;
    phase := coalesce(v_row.phase, 'closed');
    until := v_row.until;
    if phase <> 'closed' or v_before <> 'closed' then
      perform pawl.announce_breaker_v1(stream_id, v_before, phase, until, v_report.error);
      v_has_changed := true;
      return next;
    end if;
  end loop;
  perform pg_notify('pawl.wake', '') where v_has_changed;
end $$;

-- What the attempts make of a breaker; its phase is null when it may go.
create function pawl.judge_breaker(p_row pawl.breaker, p_ok int, p_failed int, p_hold_ms bigint, p_policy jsonb,
  p_now timestamptz) returns pawl.breaker
language plpgsql immutable as $$
declare
  v_row pawl.breaker := p_row;
  v_window interval := (p_policy ->> 'window_ms')::int * interval '1 ms';
  v_is_bad boolean;
begin
  -- attempts that began before it opened say nothing new
  if v_row.phase = 'open' and v_row.until > p_now and p_hold_ms is null then return v_row; end if;
  if v_row.phase = 'closed' and v_row.since <= p_now - v_window then
    v_row.since := p_now;
    v_row.ok := 0;
    v_row.failed := 0;
  end if;
  v_row.probe_id := null;
  v_row.probe_seq := null;
  v_row.ok := v_row.ok + p_ok;
  v_row.failed := v_row.failed + p_failed;
  v_is_bad := p_failed > 0 and case v_row.phase when 'open' then v_row.until <= p_now
    when 'recovering' then v_row.failed >= (p_policy ->> 'ratio')::float8 * (v_row.ok + v_row.failed)
    else v_row.failed >= (p_policy ->> 'failures')::int
     and v_row.failed >= (p_policy ->> 'ratio')::float8 * (v_row.ok + v_row.failed) end;
  if v_is_bad or p_hold_ms is not null then
    v_row.until := greatest(case when v_row.phase = 'open' then v_row.until end, p_now + greatest(
      case when v_is_bad then least((p_policy ->> 'open_ms')::int * 2.0 ^ least(v_row.trips, 20), (p_policy ->> 'open_ms_max')::int) end,
      case when p_hold_ms is not null then least(p_hold_ms, (p_policy ->> 'open_ms_max')::int) end) * interval '1 ms');
    v_row.trips := least(v_row.trips + v_is_bad::int, 30000);
    v_row.phase := 'open';
    v_row.since := p_now;
    v_row.ok := 0;
    v_row.failed := 0;
  elsif v_row.phase = 'open' and p_ok > 0 then
    v_row.phase := 'recovering';
    v_row.since := p_now;
    v_row.until := null;
    v_row.starts := 2;
    v_row.ok := 0;
  elsif v_row.phase = 'recovering' then
    while v_row.starts <= 64 and v_row.ok >= v_row.starts loop
      v_row.ok := v_row.ok - v_row.starts;
      v_row.starts := v_row.starts * 2;
      v_row.failed := 0;
    end loop;
    -- where little is to be done, a minute without a failure is enough
    if v_row.starts > 64 or (p_failed = 0 and v_row.since <= p_now - greatest(v_window, interval '1 minute')) then
      v_row.phase := null;
    end if;
  elsif v_row.phase = 'closed' and v_row.failed = 0 then
    v_row.phase := null;
  end if;
  return v_row;
end $$;

-- Mostly there is neither, and asking costs one probe each.
create function pawl.are_holds() returns boolean
language sql stable as $$
  select exists (select 1 from pawl.switch) or exists (select 1 from pawl.breaker b where b.phase <> 'closed')
$$;

create function pawl.are_limits() returns boolean
language sql stable as $$
  select exists (select 1 from pawl.queue_limit) or exists (select 1 from pawl.breaker b where b.phase <> 'closed')
$$;

-- Why streams are held: the reasons that need no counting. until: when one ends by itself.
create function pawl.holds_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language sql stable as $$
  select st.id, 'off', w.since, w.until,
         jsonb_build_object('scope', case w.scope when 'all' then 'all' else w.scope || ':' || w.name end,
           'by', w.off_by, 'why', w.why)
    from pawl.switch w
    join pawl.queue q on w.scope = 'all' or (w.scope = 'queue' and q.name = w.name)
    join pawl.stream st on st.queue_id = q.id
   where (w.until is null or w.until > pawl.now()) and st.id = any (p_streams)
  union all
  select b.stream_id, 'breaker', b.since, b.until, jsonb_build_object('trips', b.trips, 'error', b.error ->> 'message', 'starts', 0)
    from pawl.breaker b where b.phase = 'open' and b.until > pawl.now() and b.stream_id = any (p_streams)
$$;

-- Which limits streams have reached.
create function pawl.reached_limits_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language sql stable as $$
  with limited as materialized (
    select l.queue_id, l.concurrency, l.kind_concurrency, l.gap, l.burst, l.tat, pawl.starts_left(l, pawl.now()) as starts,
           case when l.concurrency is not null then pawl.running_in(l.queue_id) end as running
      from pawl.queue_limit l
     where l.queue_id in (select st.queue_id from pawl.stream st where st.id = any (p_streams))
  )
  select st.id, r.reason, null::timestamptz, r.until, r.detail
    from limited l
    cross join lateral (
      select 'concurrency', null::timestamptz, jsonb_build_object('limit', l.concurrency, 'running', l.running)
       where l.running >= l.concurrency
      union all
      select 'rate', l.tat - (l.burst - 1) * l.gap, (select q.rate from pawl.queue q where q.id = l.queue_id)
       where l.starts = 0) r (reason, until, detail)
    join pawl.stream st on st.queue_id = l.queue_id
   where st.id = any (p_streams)
  union all
  select c.stream_id, 'kind_concurrency', null, null, jsonb_build_object('limit', c.kind_concurrency, 'running', c.running)
    from (select st.id as stream_id, l.kind_concurrency, pawl.running_of(st.id) as running
            from limited l join pawl.stream st on st.queue_id = l.queue_id
           where l.kind_concurrency is not null and st.id = any (p_streams)
             -- only what has claims can have reached it
             and st.id in (select c.stream_id from pawl.claim c where c.queue_id = l.queue_id)) c
   where c.running >= c.kind_concurrency
  union all
  select b.stream_id, 'breaker', b.since, null, jsonb_build_object('trips', b.trips, 'error', b.error ->> 'message', 'starts', b.limited)
    from (select b.*, pawl.breaker_starts(b, pawl.now()) as limited from pawl.breaker b
           where b.phase <> 'closed' and b.stream_id = any (p_streams)) b
   where b.limited > 0 and pawl.running_of(b.stream_id) >= b.limited
$$;

-- The gate: all reasons why streams may not start work now; none for a stream that may.
create function pawl.gate_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language plpgsql stable
set jit = off as $$
begin
  if pawl.are_holds() then return query select * from pawl.holds_v1(p_streams); end if;
  if pawl.are_limits() then return query select * from pawl.reached_limits_v1(p_streams); end if;
end $$;

-- How many of p_wanted tasks of a stream the limits let start, and the time for which that was counted. Holds the limits
-- until the transaction ends, so that nobody counts beside it; null when another claim holds them and p_waits is false.
-- Lock order: the queue's limits, then the stream's breaker.
create function pawl.allowed_starts(p_queue int, p_stream int, p_wanted int, p_waits boolean, out starts int, out at timestamptz)
language plpgsql volatile as $$
declare
  v_limit pawl.queue_limit;
  v_breaker pawl.breaker;
begin
  if p_waits then
    select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue for update;
    select b.* into v_breaker from pawl.breaker b where b.stream_id = p_stream and b.phase <> 'closed' for update;
  else
    select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue for update skip locked;
    if not found and exists (select 1 from pawl.queue_limit l where l.queue_id = p_queue) then return; end if;
    select b.* into v_breaker from pawl.breaker b where b.stream_id = p_stream and b.phase <> 'closed' for update skip locked;
    if not found and exists (select 1 from pawl.breaker b where b.stream_id = p_stream and b.phase <> 'closed') then return; end if;
  end if;
  at := pawl.clock_now();
  -- what runs is counted in a statement after the lock: it sees every claim that was made before
  starts := least(p_wanted, v_limit.concurrency - case when v_limit.concurrency is not null then pawl.running_in(p_queue) end,
    pawl.starts_left(v_limit, at));
  if v_limit.kind_concurrency is not null or v_breaker.phase is not null then
    starts := least(starts, least(v_limit.kind_concurrency, pawl.breaker_starts(v_breaker, at)) - pawl.running_of(p_stream));
  end if;
  if v_breaker.phase = 'open' and starts > 0 and pawl.is_probe_untold(v_breaker.probe_id, v_breaker.probe_seq, at) then
    starts := 0;
  end if;
end $$;

-- A probe has failed and its worker has not told the breaker: it will within a moment, if it lives.
create function pawl.is_probe_untold(p_id bigint, p_seq bigint, p_now timestamptz) returns boolean
language sql stable as $$
  select exists (select 1 from pawl.attempt a where a.task_id = p_id and a.seq = p_seq
             and a.outcome in ('retry', 'timeout') and a.ended_at > p_now - interval '2 s')
      or exists (select 1 from pawl.dead d where d.id = p_id and d.seq = p_seq and d.died_at > p_now - interval '2 s')
$$;

-- Remembers the probe that a claim has started; the breaker is locked since its starts were counted.
create function pawl.note_probe(p_shard int, p_stream int, p_seq bigint) returns void
language sql volatile as $$
  update pawl.breaker b set probe_id = t.id, probe_seq = t.seq
    from pawl.task t
   where b.stream_id = p_stream and b.phase = 'open' and t.shard_id = p_shard and t.state = 'ready' and t.seq = p_seq
$$;

create function pawl.count_starts(p_queue int, p_starts bigint, p_at timestamptz) returns void
language sql volatile as $$
  update pawl.queue_limit l set tat = greatest(l.tat, p_at) + p_starts * l.gap
   where l.queue_id = p_queue and l.gap is not null
$$;
