-- Schedules as the apps' code defines them.
insert into pawl.owned_kind (kind, relation, what) values ('schedules', 'schedule', 'schedule')
on conflict (kind) do update set relation = excluded.relation, what = excluded.what;

-- {"application", "revision", "schedules": [{"name", "cron", "every_ms", "origin", "time_zone", "jitter_ms", "starts", "target", "task", "missed",
--   "missed_ms", "overlap", "is_enabled", "next_at", "fire_at"}]}
-- next_at: the first due time from now on; it counts for a schedule that is new, that comes at other times, or that was not on.
create or replace function pawl.register_schedules_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_taken text;
begin
  select s.name into v_taken from pawl.schedule s
    join jsonb_to_recordset(p_definitions -> 'schedules') as d (name text) on d.name = s.name
   where s.application is null order by s.name limit 1;
  if found then
    raise exception 'schedule "%" was made by an operator', v_taken using errcode = 'PW015',
      hint = 'give the one in the code another name, or remove the operator''s with `pawl schedules remove`';
  end if;
  insert into pawl.schedule as s (name, cron, every_ms, origin, time_zone, jitter_ms, starts, target, task, missed, missed_ms, overlap,
    is_enabled, application, revision, next_at, fire_at)
  select d.name, d.cron, d.every_ms, d.origin, d.time_zone, d.jitter_ms, d.starts, d.target, d.task, d.missed, d.missed_ms, d.overlap,
         d.is_enabled, p_definitions ->> 'application', (p_definitions ->> 'revision')::int, d.next_at, d.fire_at
    from jsonb_to_recordset(p_definitions -> 'schedules') as d (name text, cron text, every_ms bigint, origin timestamptz, time_zone text,
      jitter_ms bigint, starts text, target text, task jsonb, missed text, missed_ms bigint, overlap text, is_enabled boolean,
      next_at timestamptz, fire_at timestamptz)
   order by d.name
  on conflict (name) do update
     set cron = excluded.cron, every_ms = excluded.every_ms, origin = excluded.origin, time_zone = excluded.time_zone,
         jitter_ms = excluded.jitter_ms, starts = excluded.starts, target = excluded.target, task = excluded.task, missed = excluded.missed,
         missed_ms = excluded.missed_ms, overlap = excluded.overlap, is_enabled = excluded.is_enabled, application = excluded.application,
         revision = excluded.revision, defined_at = pawl.now(),
         version = case when pawl.is_same_schedule(s, excluded) then s.version else s.version + 1 end,
         next_at = case when pawl.has_same_times(s, excluded) then s.next_at else excluded.next_at end,
         fire_at = case when pawl.has_same_times(s, excluded) then s.fire_at else excluded.fire_at end,
         waiting_at = case when excluded.is_enabled and s.application = excluded.application then s.waiting_at end
   where s.application = '' or (s.application = excluded.application and s.revision <= excluded.revision);
end $$;

-- It goes on as before: due times that have passed meanwhile are missed. One that is on again, or comes at other times, begins now.
create or replace function pawl.has_same_times(p_old pawl.schedule, p_new pawl.schedule) returns boolean
language sql immutable return
  (p_old.cron, p_old.every_ms, p_old.origin, p_old.time_zone, p_old.jitter_ms, p_old.is_enabled, p_old.application)
  is not distinct from (p_new.cron, p_new.every_ms, p_new.origin, p_new.time_zone, p_new.jitter_ms, p_new.is_enabled, p_new.application);

create or replace function pawl.is_same_schedule(p_old pawl.schedule, p_new pawl.schedule) returns boolean
language sql immutable return pawl.has_same_times(p_old, p_new)
  and (p_old.starts, p_old.target, p_old.task, p_old.missed, p_old.missed_ms, p_old.overlap)
  is not distinct from (p_new.starts, p_new.target, p_new.task, p_new.missed, p_new.missed_ms, p_new.overlap);

-- The database's time, from which due times are computed.
create or replace function pawl.schedule_clock_v1() returns timestamptz
language sql stable as $$ select pawl.now() $$;
