-- The gate: which streams may start work now, and why not. Every reason is a row of gate_v1; looking, claiming,
-- lists and `why` read the same one.

-- What a person turned off. A switch whose end has passed holds nothing.
create table pawl.switch (
  scope text not null check (scope in ('all', 'queue')),
  name text not null default '',
  off_by text not null,
  why text,
  since timestamptz not null default pawl.now(),
  until timestamptz,
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
     set off_by = excluded.off_by, why = excluded.why, until = excluded.until,
         since = case when w.until <= pawl.now() then pawl.now() else w.since end;
  perform pawl.audit_v1(p_by, 'off', p_scope, p_why, jsonb_build_object('until', p_until));
end $$;

-- Answers whether it was off.
create function pawl.on_v1(p_scope text, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
declare
  v_was_off boolean;
begin
  delete from pawl.switch w using pawl.scope_of(p_scope) s where w.scope = s.scope and w.name = s.name
  returning w.until is null or w.until > pawl.now() into v_was_off;
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

-- Starts that a rate lets through at a time (GCRA): the row's tat may lie at most burst gaps ahead after them.
create function pawl.starts_left(p_limit pawl.queue_limit, p_now timestamptz) returns int
language sql immutable as $$
  select case when p_limit.gap is null then null else greatest(floor(
    extract(epoch from p_now + p_limit.burst * p_limit.gap - greatest(p_limit.tat, p_now))
      / extract(epoch from p_limit.gap)), 0)::int end
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
$$;

-- Which limits streams have reached.
create function pawl.reached_limits_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language sql stable as $$
  with limited as materialized (
    select l.queue_id, l.concurrency, l.gap, l.burst, l.tat, pawl.starts_left(l, pawl.now()) as starts,
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
$$;

-- The gate: all reasons why streams may not start work now; none for a stream that may.
create function pawl.gate_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language plpgsql stable
set jit = off as $$
begin
  if exists (select 1 from pawl.switch) then return query select * from pawl.holds_v1(p_streams); end if;
  if exists (select 1 from pawl.queue_limit) then return query select * from pawl.reached_limits_v1(p_streams); end if;
end $$;

-- How many of p_wanted tasks a queue's limits let start, and the time for which that was counted. Holds the queue's
-- limits until the transaction ends, so that nobody counts beside it; null when another claim holds them and p_waits is false.
create function pawl.allowed_starts(p_queue int, p_wanted int, p_waits boolean, out starts int, out at timestamptz)
language plpgsql volatile as $$
declare
  v_limit pawl.queue_limit;
begin
  if p_waits then
    select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue for update;
  else
    select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue for update skip locked;
    if not found and exists (select 1 from pawl.queue_limit l where l.queue_id = p_queue) then return; end if;
  end if;
  at := pawl.clock_now();
  -- what runs is counted in a statement after the lock: it sees every claim that was made before
  starts := least(p_wanted, v_limit.concurrency - case when v_limit.concurrency is not null then pawl.running_in(p_queue) end,
    pawl.starts_left(v_limit, at));
end $$;

create function pawl.count_starts(p_queue int, p_starts bigint, p_at timestamptz) returns void
language sql volatile as $$
  update pawl.queue_limit l set tat = greatest(l.tat, p_at) + p_starts * l.gap
   where l.queue_id = p_queue and l.gap is not null
$$;
