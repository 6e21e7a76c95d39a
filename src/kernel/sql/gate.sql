-- The gate: which streams may start work now, and why not. Every reason is a row of gate_v1; looking, claiming,
-- lists and `why` read the same one.

-- Mostly there is none, and asking costs one probe each.
create or replace function pawl.are_holds() returns boolean
language plpgsql stable as $$ -- in plpgsql, as others that each turn calls: a function of SQL would be planned each time
begin
  return exists (
      select 1 from pawl.switch w left join pawl.scope_kind k on k.kind = w.scope where w.scope in ('all', 'queue', 'group') or k.kinds_in is not null)
    or exists (select 1 from pawl.breaker b where b.phase <> 'closed')
    or exists (select 1 from pawl.quiet_hours);
end $$;

create or replace function pawl.are_limits() returns boolean
language plpgsql stable as $$
begin
  return exists (select 1 from pawl.queue_limit) or exists (select 1 from pawl.breaker b where b.phase <> 'closed');
end $$;

-- Why streams are held: the reasons that need no counting. until: when one ends by itself.
create or replace function pawl.holds_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language sql stable as $$
  select st.id, 'off', w.since, w.until,
         jsonb_build_object('scope', pawl.scope_text(w.by_scope, w.by_name), 'by', w.off_by, 'why', w.why)
    from pawl.off_now() w
    cross join pawl.stream st
    join pawl.queue q on q.id = st.queue_id
   where st.id = any (p_streams) and pawl.holds_kind(w.scope, w.name, q.name, st.kind)
  union all
  select b.stream_id, 'breaker', b.since, b.until, jsonb_build_object('trips', b.trips, 'error', b.error ->> 'message', 'starts', 0)
    from pawl.breaker b where b.phase = 'open' and b.until > pawl.now() and b.stream_id = any (p_streams)
  union all
  select q.* from pawl.quiet_holds(p_streams) q
$$;

-- Which limits streams have reached.
create or replace function pawl.reached_limits_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language sql stable as $$
  with limited as materialized (
    select l.queue_id, l.concurrency, l.kind_concurrency, l.gap, l.burst, l.tat, l.kind_gap, l.kind_burst, pawl.starts_left(l.gap, l.burst, l.tat, pawl.now()) as starts,
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
             -- only streams that have claims can have reached it
             and st.id in (select c.stream_id from pawl.claim c where c.queue_id = l.queue_id)) c
   where c.running >= c.kind_concurrency
  union all
  select st.id, 'kind_rate', null, k.tat - (l.kind_burst - 1) * l.kind_gap, (select q.kind_rate from pawl.queue q where q.id = l.queue_id)
    from limited l join pawl.stream st on st.queue_id = l.queue_id join pawl.kind_pace k on k.stream_id = st.id
   where l.kind_gap is not null and st.id = any (p_streams) and pawl.starts_left(l.kind_gap, l.kind_burst, k.tat, pawl.now()) = 0
  union all
  select b.stream_id, 'breaker', b.since, null, jsonb_build_object('trips', b.trips, 'error', b.error ->> 'message', 'starts', b.limited)
    from (select b.*, pawl.breaker_starts(b, pawl.now()) as limited from pawl.breaker b
           where b.phase <> 'closed' and b.stream_id = any (p_streams)) b
   where b.limited > 0 and pawl.running_of(b.stream_id) >= b.limited
$$;

-- The gate: all reasons why streams may not start work now; none for a stream that may.
create or replace function pawl.gate_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language plpgsql stable
set jit = off as $$
begin
  if pawl.are_holds() then return query select * from pawl.holds_v1(p_streams); end if;
  if pawl.are_limits() then return query select * from pawl.reached_limits_v1(p_streams); end if;
end $$;
