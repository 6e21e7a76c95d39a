-- Schedules as operators see them, and what they do to them.

-- Tasks of a schedule that is asked for must be there.
create or replace function pawl.schedule_named(p_name text) returns pawl.schedule
language plpgsql volatile as $$
declare
  v_schedule pawl.schedule;
begin
  select s.* into v_schedule from pawl.schedule s where s.name = p_name for no key update;
  if not found then
    raise exception 'no schedule "%"', left(p_name, 100) using errcode = 'PW023',
      hint = coalesce('known: ' || (select string_agg(k.name, ', ' order by k.name) from (select s.name from pawl.schedule s order by s.name limit 50) k),
        'there is none yet: start a worker');
  end if;
  return v_schedule;
end $$;

-- status: on | off (by a switch) | quiet | disabled (its definition says so) | undefined (no code defines it any more) | over (it never comes again).
create or replace function pawl.schedules_v1(p_name text, p_status text default null, p_target text default null, p_limit int default 1)
returns table (name text, status text, cron text, every_ms bigint, origin timestamptz,
  time_zone text, jitter_ms bigint, starts text, target text, task jsonb, missed text, missed_ms bigint, overlap text, application text,
  defined_at timestamptz, next_at timestamptz, fire_at timestamptz, waiting_at timestamptz, last_at timestamptz, last_outcome text, last_error text,
  last_task bigint, last_state text, off jsonb, quiet jsonb)
language sql stable as $$
  select s.name,
         pawl.schedule_status(s, o.off is not null, q.quiet is not null),
         s.cron, s.every_ms, s.origin, s.time_zone, s.jitter_ms, s.starts, s.target, s.task, s.missed, s.missed_ms, s.overlap, s.application,
         s.defined_at, s.next_at, s.fire_at, s.waiting_at, s.last_at, r.outcome, r.error, s.last_task, t.state, coalesce(o.off, '[]'), coalesce(q.quiet, '[]')
    from pawl.schedule s
    cross join lateral (select pawl.switches_of('schedule', array[s.name]) as off) o
    cross join lateral (select pawl.quiet_reasons('schedule', array[s.name], '1 ms') as quiet) q
    left join lateral (select r.* from pawl.schedule_run r where r.schedule_id = s.id order by r.due_at desc limit 1) r on true
    left join lateral (select t.state from pawl.task_v1 t where t.id = s.last_task limit 1) t on s.last_task is not null
   where (p_name is null or s.name = p_name) and (p_target is null or s.target = p_target or starts_with(s.target, p_target || ':'))
     and (p_status is null or p_status = pawl.schedule_status(s, o.off is not null, q.quiet is not null))
   order by s.name limit p_limit
$$;

create or replace function pawl.schedule_status(p_schedule pawl.schedule, p_is_off boolean, p_is_quiet boolean) returns text
language sql immutable
return case when p_schedule.application = '' then 'undefined' when not p_schedule.is_enabled then 'disabled' when p_is_off then 'off'
    when p_is_quiet then 'quiet' when p_schedule.next_at is null then 'over' else 'on' end;

create or replace function pawl.schedule_runs_v1(p_name text, p_limit int) returns table (due_at timestamptz, outcome text, task_id bigint,
  task_state text, since timestamptz, amount int, error text, by text, at timestamptz)
language sql stable as $$
  select r.due_at, r.outcome, r.task_id, t.state, r.since, r.amount, r.error, r.by, r.at
    from pawl.schedule s join pawl.schedule_run r on r.schedule_id = s.id
    left join lateral (select t.state from pawl.task_v1 t where t.id = r.task_id limit 1) t on r.task_id is not null
   where s.name = p_name order by r.due_at desc limit p_limit
$$;

-- Starts the task of a schedule now, beside its due times. Refuses while its last task lives, unless p_beside, or its overlap allows it.
create or replace function pawl.run_schedule_v1(p_name text, p_beside boolean, p_by text, p_why text, p_action text)
returns table (due_at timestamptz, outcome text, task_id bigint)
language plpgsql volatile
set lock_timeout = '5s' as $$
declare
  v_schedule pawl.schedule := pawl.schedule_named(p_name);
  -- due times are whole milliseconds: this is none of them
  v_at timestamptz := date_trunc('milliseconds', pawl.now()) + interval '500 microseconds';
begin
  if not p_beside and v_schedule.overlap <> 'all' and coalesce(pawl.is_task_live(v_schedule.last_task), false) then
    raise exception 'schedule "%": its last task % has not ended', p_name, v_schedule.last_task using errcode = 'PW010',
      hint = format('see `pawl why %s`; to run beside it: --beside', v_schedule.last_task);
  end if;
  while exists (select from pawl.schedule_run r where r.schedule_id = v_schedule.id and r.due_at = v_at) loop
    v_at := v_at + interval '1 millisecond';
  end loop;
  return query select p.due_at, p.outcome, p.task_id from pawl.put_schedule_now(v_schedule.id, array[v_at], p_by) p;
  perform pawl.audit_v1(p_by, p_action, 'schedule:' || p_name, p_why, null);
end $$;

-- What an operator may change by name; refuses what the code owns.
create or replace function pawl.operators_schedule(p_name text) returns pawl.schedule
language plpgsql volatile as $$
declare
  v_schedule pawl.schedule := pawl.schedule_named(p_name);
begin
  perform pawl.refuse_owned_by_code(format('schedule "%s"', p_name), nullif(v_schedule.application, ''), 'pausing, resuming and running it');
  return v_schedule;
end $$;

-- Refuses to start what no code has defined.
create or replace function pawl.require_schedulable(p_starts text, p_target text) returns void
language plpgsql stable as $$
begin
  if p_starts = 'process' and pawl.defined_version(p_target, null) is not null
    or p_starts = 'command' and exists (select from pawl.command_keys_v1() k where k.key = p_target)
    or p_starts = 'job' and exists (select from pawl.kind_names() n where n = p_target) then return; end if;
  raise exception 'unknown % "%"', p_starts, left(p_target, 200) using errcode = 'PW011', hint = 'start a worker whose app defines it';
end $$;

-- Makes or changes an operator's schedule: a schedule as for register_schedules_v1.
create or replace function pawl.put_schedule_v1(p_schedule jsonb, p_is_new boolean, p_by text, p_why text, p_action text) returns void
language plpgsql volatile
set lock_timeout = '5s' as $$
declare
  v_new pawl.schedule := jsonb_populate_record(null::pawl.schedule, p_schedule);
  v_old pawl.schedule;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  perform pawl.require_schedulable(v_new.starts, v_new.target);
  perform pawl.check_payloads(jsonb_build_array(v_new.task), '{payload,meta,input}');
  if p_is_new then
    select s.* into v_old from pawl.schedule s where s.name = v_new.name;
    if found then
      raise exception 'a schedule "%" exists', v_new.name using errcode = 'PW016', hint = 'choose another name, or change it: pawl schedules edit';
    end if;
    insert into pawl.schedule (name, cron, every_ms, origin, time_zone, jitter_ms, starts, target, task, missed, missed_ms, overlap, is_enabled,
      next_at, fire_at)
    values (v_new.name, v_new.cron, v_new.every_ms, v_new.origin, v_new.time_zone, v_new.jitter_ms, v_new.starts, v_new.target, v_new.task,
      v_new.missed, v_new.missed_ms, v_new.overlap, true, v_new.next_at, v_new.fire_at);
  else
    v_old := pawl.operators_schedule(v_new.name);
    v_new.is_enabled := v_old.is_enabled;
    v_new.application := v_old.application;
    update pawl.schedule s
       set cron = v_new.cron, every_ms = v_new.every_ms, origin = v_new.origin, time_zone = v_new.time_zone, jitter_ms = v_new.jitter_ms,
           task = v_new.task, missed = v_new.missed, missed_ms = v_new.missed_ms, overlap = v_new.overlap, version = s.version + 1,
           defined_at = pawl.now(),
           next_at = case when pawl.has_same_times(s, v_new) then s.next_at else v_new.next_at end,
           fire_at = case when pawl.has_same_times(s, v_new) then s.fire_at else v_new.fire_at end
     where s.id = v_old.id;
  end if;
  perform pawl.audit_v1(p_by, p_action, 'schedule:' || v_new.name, p_why, p_schedule - '{name,next_at,fire_at,task}'::text[]);
  perform pg_notify('pawl.wake', '');
end $$;

-- Removes an operator's schedule, or one that no code defines any more. Tasks that it has started go on.
create or replace function pawl.remove_schedule_v1(p_name text, p_by text, p_why text, p_action text) returns void
language plpgsql volatile
set lock_timeout = '5s' as $$
declare
  v_schedule pawl.schedule;
begin
  perform pawl.refuse_member('schedule', p_name);
  v_schedule := pawl.operators_schedule(p_name);
  delete from pawl.schedule s where s.id = v_schedule.id;
  delete from pawl.schedule_run r where r.schedule_id = v_schedule.id;
  delete from pawl.switch w where w.scope = 'schedule' and w.name = p_name;
  perform pawl.audit_v1(p_by, p_action, 'schedule:' || p_name, p_why, null);
end $$;

-- Starts the tasks of due times that have passed and were not started. outcome: started | duplicate | already. p_is_dry: says only which.
create or replace function pawl.backfill_schedule_v1(p_name text, p_dues timestamptz[], p_is_dry boolean, p_by text, p_why text, p_action text)
returns table (due_at timestamptz, outcome text, task_id bigint)
language plpgsql volatile
set lock_timeout = '5s' as $$
declare
  v_schedule pawl.schedule := pawl.schedule_named(p_name);
  v_done timestamptz[] := array(select r.due_at from pawl.schedule_run r
    where r.schedule_id = v_schedule.id and r.due_at = any (p_dues) and r.outcome in ('started', 'duplicate'));
  v_left timestamptz[] := array(select d.due from unnest(p_dues) d (due) where d.due <> all (v_done) order by d.due);
begin
  return query select d.due, 'already', null::bigint from unnest(v_done) d (due);
  if p_is_dry then
    return query select d.due, 'started', null::bigint from unnest(v_left) d (due);
    return;
  end if;
  return query select p.due_at, p.outcome, p.task_id
    from pawl.put_schedule_now(v_schedule.id, v_left, p_by) p;
  perform pawl.audit_v1(p_by, p_action, 'schedule:' || p_name, p_why,
    jsonb_build_object('from', p_dues[1], 'to', p_dues[cardinality(p_dues)], 'started', cardinality(v_left)));
end $$;
