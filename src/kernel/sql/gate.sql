-- The gate: which streams may start work now, and why not. Every reason is a row of gate_v1; looking, claiming,
-- lists and `why` read the same one.

-- Mostly there is neither, and asking costs one probe each.
create or replace function pawl.are_holds() returns boolean
language sql stable return exists (select 1 from pawl.switch w where w.scope in ('all', 'queue')) or exists (select 1 from pawl.breaker b where b.phase <> 'closed');

create or replace function pawl.are_limits() returns boolean
language sql stable return exists (select 1 from pawl.queue_limit) or exists (select 1 from pawl.breaker b where b.phase <> 'closed');

-- Why streams are held: the reasons that need no counting. until: when one ends by itself.
create or replace function pawl.holds_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
  until timestamptz, detail jsonb)
language sql stable as $$
  select st.id, 'off', w.since, w.until,
         jsonb_build_object('scope', pawl.scope_text(w.scope, w.name),
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
create or replace function pawl.reached_limits_v1(p_streams int[]) returns table (stream_id int, reason text, since timestamptz,
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
             -- only streams that have claims can have reached it
             and st.id in (select c.stream_id from pawl.claim c where c.queue_id = l.queue_id)) c
   where c.running >= c.kind_concurrency
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
