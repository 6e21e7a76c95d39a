-- Which schedules have something to fire.

-- What holds schedules now: one, or, where name is null, all but those that are exempt. p_off_here: the scopes that a file or a variable holds
-- where the worker runs.
create or replace function pawl.schedule_holds(p_off_here text[]) returns table (name text, exempt text[])
language sql stable as $$
  with hold as materialized (
    select h.scopes, h.exempt from pawl.holds_now('schedule') h
    union all
    select p_off_here, '{}')
  select null, h.exempt from hold h where 'all' = any (h.scopes)
  union all
  select distinct substr(u.scope, 10), null::text[] from hold h cross join lateral unnest(h.scopes) u (scope)
   where starts_with(u.scope, 'schedule:') and not h.exempt && array['all', u.scope]
$$;

-- Where all are held.
create or replace function pawl.is_exempt(p_exempt text[], p_name text) returns boolean
language sql immutable return p_exempt && array['all', 'schedule:' || p_name];

-- Due after p_after, null: from the beginning, and until p_until; held by nothing. The first p_limit.
create or replace function pawl.free_schedules(p_after timestamptz, p_until timestamptz, p_limit int, p_off_here text[]) returns setof pawl.schedule
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$ -- idle workers ask it: it reads only what is due
begin
  return query
  with hold as materialized (select h.name, h.exempt from pawl.schedule_holds(p_off_here) h),
    whole as materialized (select h.exempt from hold h where h.name is null)
  select s.* from pawl.schedule s
   where s.fire_at > coalesce(p_after, '-infinity') and s.fire_at <= p_until and s.is_enabled and s.application is distinct from ''
     and s.name not in (select h.name from hold h where h.name is not null) -- hashed, be they many
     and not exists (select from whole w where not pawl.is_exempt(w.exempt, s.name))
   order by s.fire_at, s.id limit p_limit;
end $$;

-- A due time waits for the end of the last task, which has ended, or has to be asked to end; and nothing holds it.
create or replace function pawl.waiting_schedules(p_off_here text[]) returns setof pawl.schedule
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
  return query
  with hold as materialized (select h.name, h.exempt from pawl.schedule_holds(p_off_here) h),
    whole as materialized (select h.exempt from hold h where h.name is null)
  select s.* from pawl.schedule s
   where s.waiting_at is not null and s.is_enabled and s.application is distinct from ''
     and (not pawl.is_task_live(s.last_task) or s.overlap = 'cancel' and s.cancelled_task is distinct from s.last_task)
     and s.name not in (select h.name from hold h where h.name is not null) -- hashed, be they many
     and not exists (select from whole w where not pawl.is_exempt(w.exempt, s.name));
end $$;

-- What the workers' watch asks: something is to be done within 2 seconds.
create or replace function pawl.is_schedule_due_v1(p_off_here text[]) returns boolean
language sql stable as $$
  select exists (select from pawl.free_schedules(null, pawl.now() + interval '2 seconds', 1, p_off_here))
      or exists (select from pawl.waiting_schedules(p_off_here))
$$;

-- What a worker asks that ends when nothing is left: something is to be done now.
create or replace function pawl.is_schedule_left_v1(p_off_here text[]) returns boolean
language sql stable as $$
  select exists (select from pawl.free_schedules(null, pawl.now(), 1, p_off_here))
      or exists (select from pawl.waiting_schedules(p_off_here))
$$;

-- Due times are whole milliseconds.
create or replace function pawl.epoch_ms(p_at timestamptz) returns float8
language sql stable return (extract(epoch from p_at) * 1000)::float8;

-- What is due now, the first p_limit; and in how many milliseconds the next one is, null: not within a minute.
-- cancel: the task that has to end first.
create or replace function pawl.look_at_schedules_v1(p_limit int, p_off_here text[])
returns table (seen_ms float8, wait_ms float8, schedules jsonb)
language plpgsql stable
set jit = off as $$
declare
  seen_at timestamptz := pawl.now();
begin
  seen_ms := pawl.epoch_ms(seen_at);
  select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name, 'version', s.version, 'cron', s.cron, 'every_ms', s.every_ms,
           'origin_ms', pawl.epoch_ms(s.origin), 'time_zone', s.time_zone, 'jitter_ms', s.jitter_ms, 'missed', s.missed, 'missed_ms', s.missed_ms,
           'next_ms', pawl.epoch_ms(s.next_at), 'fire_ms', pawl.epoch_ms(s.fire_at),
           'cancel', case when s.waiting_at is not null and s.overlap = 'cancel' and s.cancelled_task is distinct from s.last_task
             and pawl.is_task_live(s.last_task) then s.last_task end) order by s.fire_at, s.id), '[]') into schedules
    from (select f.* from pawl.free_schedules(null, seen_at, p_limit, p_off_here) f
          union all
          select w.* from (select w.* from pawl.waiting_schedules(p_off_here) w limit p_limit) w where w.fire_at is null or w.fire_at > seen_at) s;
  select extract(epoch from n.fire_at - seen_at) * 1000 into wait_ms
    from pawl.free_schedules(seen_at, seen_at + interval '1 minute', 1, p_off_here) n;
  return next;
end $$;
