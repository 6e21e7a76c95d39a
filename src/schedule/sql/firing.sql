-- Firing: starts the task of a due time, and moves the schedule's row to the next one, in one transaction. The row's lock, its version and its
-- next due time are the fence: of all workers that saw a due time, one fires it. Lock order: the gate, schedules by id, tasks that are put.

-- Of each schedule about so many latest runs are kept.
create or replace function pawl.schedule_runs_kept() returns int
language sql immutable return 1000;

-- Not at each firing: that would be dear. With p_is_now: at this one.
create or replace function pawl.trim_schedule_runs(p_ids int[], p_is_now boolean default false) returns void
language plpgsql volatile as $$
declare
  v_id int;
begin
  for v_id in select u.id from unnest(p_ids) u (id) where p_is_now or random() < 0.05 loop
    delete from pawl.schedule_run r where r.schedule_id = v_id and r.due_at < (
      select k.due_at from pawl.schedule_run k where k.schedule_id = v_id order by k.due_at desc offset pawl.schedule_runs_kept() limit 1);
  end loop;
end $$;

-- p_firings: [{"id", "version", "next_at": as it was seen, "dues": due times to start, in order, "missed", "missed_since", "missed_at": how many others
--   there were, the first and the last of them, "then_at", "then_fire_at": the due time after them}]. Returns what was done, a row a due time.
-- outcome: started | duplicate | overlap | failed | busy (nothing was changed). Rows that others fire now, or have fired, are left out.
create or replace function pawl.fire_schedules_v1(p_firings jsonb, p_off_here text[])
returns table (name text, due_at timestamptz, outcome text, task_id bigint, error text)
language plpgsql volatile
set lock_timeout = '500ms' as $$
declare
  c_parts constant int := 50; -- a lock that somebody holds is waited for three times, not once for each half
  v_state text;
  v_error text;
  v_part jsonb;
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  begin
    return query select f.* from pawl.fire_free(p_firings, p_off_here) f;
    return;
  exception when others then
    get stacked diagnostics v_state = returned_sqlstate, v_error = message_text;
    if v_state !~ '^(PW|22|23|54|55P03|40P01)' then raise; end if;
  end;
  if jsonb_array_length(p_firings) > 1 then -- one of them is at fault: the others do not wait for it
    for v_part in
      select jsonb_agg(e.firing order by e.place) from jsonb_array_elements(p_firings) with ordinality e (firing, place)
       group by (e.place - 1) / greatest(jsonb_array_length(p_firings) / c_parts, 1) order by min(e.place)
    loop
      return query select f.* from pawl.fire_schedules_v1(v_part, p_off_here) f;
    end loop;
  elsif v_state ~ '^(55P03|40P01)' then
    return query select s.name, s.next_at, 'busy', null::bigint, v_error from pawl.schedule s where s.id = (p_firings #>> '{0,id}')::int;
  else
    return query select f.* from pawl.fail_firing(p_firings -> 0, v_error) f;
  end if;
end $$;

-- A start that is refused would be refused again: it is told, and the next due time comes.
create or replace function pawl.fail_firing(p_firing jsonb, p_error text)
returns table (name text, due_at timestamptz, outcome text, task_id bigint, error text)
language plpgsql volatile as $$
declare
  v_schedule pawl.schedule;
  v_dues timestamptz[];
begin
  select s.* into v_schedule from pawl.schedule s
   where s.id = (p_firing ->> 'id')::int and s.version = (p_firing ->> 'version')::int
     and s.next_at is not distinct from (p_firing ->> 'next_at')::timestamptz
     for update skip locked;
  if not found then return; end if;
  name := v_schedule.name;
  v_dues := array(select d.due::timestamptz from jsonb_array_elements_text(p_firing -> 'dues') with ordinality d (due, place) order by d.place);
  if v_schedule.waiting_at is not null then v_dues := v_schedule.waiting_at || v_dues; end if;
  due_at := v_dues[cardinality(v_dues)];
  update pawl.schedule s set next_at = (p_firing ->> 'then_at')::timestamptz, fire_at = (p_firing ->> 'then_fire_at')::timestamptz,
         last_at = greatest(s.last_at, fail_firing.due_at), waiting_at = null
   where s.id = v_schedule.id;
  perform pawl.note_schedule(v_schedule.id, 'missed', (p_firing ->> 'missed')::int, (p_firing ->> 'missed_since')::timestamptz,
    (p_firing ->> 'missed_at')::timestamptz);
  perform pawl.note_schedule(v_schedule.id, 'failed', cardinality(v_dues), v_dues[1], due_at, p_error);
  perform pawl.trim_schedule_runs(array[v_schedule.id]);
  outcome := 'failed';
  error := p_error;
  return next;
end $$;

-- What of these due times is started, what waits, and what is left out because a task of the schedule lives. Of several that come together and
-- may not run beside each other, the first is started, and the last waits; what cancels another needs only the last.
create or replace function pawl.overlap_of(p_overlap text, p_is_live boolean, p_dues timestamptz[],
  out starts timestamptz[], out waits timestamptz, out skips timestamptz[])
language plpgsql immutable as $$
declare
  v_amount int := coalesce(cardinality(p_dues), 0);
begin
  starts := '{}';
  skips := '{}';
  if v_amount = 0 then return; end if;
  if p_overlap = 'all' then
    starts := p_dues;
  elsif p_overlap = 'skip' then
    starts := case when p_is_live then '{}' else p_dues[1:1] end;
    skips := p_dues[case when p_is_live then 1 else 2 end:];
  elsif p_is_live then
    waits := p_dues[v_amount];
    skips := p_dues[:v_amount - 1];
  elsif p_overlap = 'cancel' then
    starts := p_dues[v_amount:];
    skips := p_dues[:v_amount - 1];
  else
    starts := p_dues[1:1];
    if v_amount > 1 then waits := p_dues[v_amount]; end if;
    skips := p_dues[2:v_amount - 1];
  end if;
end $$;

-- Due times that came to nothing, as one row: several in a row, the last of them at p_last.
create or replace function pawl.note_schedule(p_schedule int, p_outcome text, p_amount int, p_first timestamptz, p_last timestamptz,
  p_error text default null) returns void
language sql volatile as $$
  insert into pawl.schedule_run (schedule_id, due_at, outcome, since, amount, error)
  select p_schedule, p_last, p_outcome, p_first, p_amount, p_error where p_amount > 0
  on conflict do nothing
$$;

-- Locks those that are as they were seen. A statement of its own, after the gate's lock: it sees every switch that was committed before.
create or replace function pawl.lock_due(p_firings jsonb, p_off_here text[]) returns int[]
language plpgsql volatile
set enable_mergejoin = off set jit = off as $$
begin
  return array(
    with hold as materialized (select h.name, h.exempt from pawl.schedule_holds(p_off_here) h),
      whole as materialized (select h.exempt from hold h where h.name is null)
    select s.id
      from jsonb_to_recordset(p_firings) as f (id int, version int, next_at timestamptz)
      join pawl.schedule s on s.id = f.id
     where s.version = f.version and s.next_at is not distinct from f.next_at and (s.fire_at <= pawl.now() or s.waiting_at is not null)
       and s.is_enabled and s.application is distinct from ''
       and s.name not in (select h.name from hold h where h.name is not null) -- hashed, be they many
       and not exists (select from whole w where not pawl.is_exempt(w.exempt, s.name))
     order by s.id
       for no key update of s skip locked);
end $$;

-- Decides about all of them in one statement, and then puts their tasks in one.
create or replace function pawl.fire_free(p_firings jsonb, p_off_here text[])
returns table (name text, due_at timestamptz, outcome text, task_id bigint, error text)
language plpgsql volatile
set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_locked int[];
  v_handled int[];
  v_then timestamptz[];
  v_then_fire timestamptz[];
  v_waits timestamptz[];
  v_last timestamptz[];
  v_ids int[];
  v_dues timestamptz[];
  v_outcomes text[];
  v_tasks bigint[];
  v_left_out text[];
  v_skips timestamptz[];
begin
  v_locked := pawl.lock_due(p_firings, p_off_here);
  -- after the locks: the last task may be one that the statement which locked cannot see
  with seen as materialized (
    select s.id, s.name, s.overlap, s.waiting_at, s.last_task, f.dues, f.missed, f.missed_since, f.missed_at, f.then_at, f.then_fire_at
      from jsonb_to_recordset(p_firings) as f (id int, dues timestamptz[], missed int, missed_since timestamptz, missed_at timestamptz,
        then_at timestamptz, then_fire_at timestamptz)
      join pawl.schedule s on s.id = f.id
     where s.id in (select u.id from unnest(v_locked) u (id))
     order by s.id
  ), act as materialized (
    select s.*, o.starts, o.waits, o.skips
      from seen s
      cross join lateral pawl.overlap_of(s.overlap, s.last_task is not null and pawl.is_task_live(s.last_task),
        case when s.waiting_at is null then s.dues else s.waiting_at || s.dues end) o
  ), noted as (
    insert into pawl.schedule_run (schedule_id, due_at, outcome, since, amount)
    select a.id, a.missed_at, 'missed', a.missed_since, a.missed from act a where a.missed > 0
    union all
    select a.id, a.skips[cardinality(a.skips)], 'overlap', a.skips[1], cardinality(a.skips) from act a where a.skips <> '{}'
    on conflict do nothing
  ), acts as materialized (
    select array_agg(a.id) as ids, array_agg(a.then_at) as thens, array_agg(a.then_fire_at) as fires, array_agg(a.waits) as waits,
           array_agg(a.starts[cardinality(a.starts)]) as lasts
      from act a
  ), started as materialized (
    select a.id, u.due, row_number() over (order by a.id, u.place) as place from act a cross join lateral unnest(a.starts) with ordinality u (due, place)
  ), left_out as materialized (
    select a.name, u.due, row_number() over (order by a.id, u.place) as place from act a cross join lateral unnest(a.skips) with ordinality u (due, place)
  )
  select a.ids, a.thens, a.fires, a.waits, a.lasts,
         (select array_agg(s.id order by s.place) from started s), (select array_agg(s.due order by s.place) from started s),
         (select array_agg(l.name order by l.place) from left_out l), (select array_agg(l.due order by l.place) from left_out l)
    into v_handled, v_then, v_then_fire, v_waits, v_last, v_ids, v_dues, v_left_out, v_skips
    from acts a;
  return query select u.name, u.due, 'overlap', null::bigint, null::text from unnest(v_left_out, v_skips) u (name, due);
  select array_agg(p.schedule_id), array_agg(p.due_at), array_agg(p.outcome), array_agg(p.task_id) into v_ids, v_dues, v_outcomes, v_tasks
    from pawl.put_scheduled(v_ids, v_dues, null) p;
  return query
  with put as materialized (
    select u.* from unnest(v_ids, v_dues, v_outcomes, v_tasks) with ordinality u (schedule_id, due_at, outcome, task_id, place)
  ), moved as (
    update pawl.schedule s
       set next_at = a.then_at, fire_at = a.then_fire_at, waiting_at = a.waits, last_at = greatest(s.last_at, a.last_at),
           last_task = coalesce(l.task_id, s.last_task)
      from unnest(v_handled, v_then, v_then_fire, v_waits, v_last) a (id, then_at, then_fire_at, waits, last_at)
      left join (select p.schedule_id, (array_agg(p.task_id order by p.place desc))[1] as task_id from put p group by p.schedule_id) l
        on l.schedule_id = a.id
     where s.id = a.id
    returning s.id, s.name
  )
  select m.name, p.due_at, p.outcome, p.task_id, null::text from put p join moved m on m.id = p.schedule_id order by p.place;
  perform pawl.trim_schedule_runs(v_handled);
end $$;

-- Puts the tasks of due times, under the locks of the schedules' rows, and notes what became of each. Leaves out those that were started before.
-- Each gets the schedule's task, which says when it was due. The caller notes the last tasks.
create or replace function pawl.put_scheduled(p_ids int[], p_dues timestamptz[], p_by text)
returns table (schedule_id int, due_at timestamptz, outcome text, task_id bigint)
language plpgsql volatile
set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_starts text;
  v_ids int[];
  v_dues timestamptz[];
  v_tasks jsonb;
begin
  foreach v_starts in array array['job', 'process', 'command'] loop
    select array_agg(u.id order by u.place), array_agg(u.due order by u.place),
           jsonb_agg(s.task || jsonb_build_object('meta', coalesce(nullif(s.task -> 'meta', 'null'), '{}') || jsonb_build_object('schedule',
             jsonb_build_object('name', s.name, 'dueAt', to_char(u.due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))) order by u.place)
      into v_ids, v_dues, v_tasks
      from unnest(p_ids, p_dues) with ordinality u (id, due, place) join pawl.schedule s on s.id = u.id
     where s.starts = v_starts and not exists (
       select from pawl.schedule_run r where r.schedule_id = u.id and r.due_at = u.due and r.outcome in ('started', 'duplicate'));
    continue when v_tasks is null;
    return query
    with put as materialized (
      select v_ids[e.place] as schedule_id, v_dues[e.place] as due_at, case e.outcome when 'duplicate' then 'duplicate' else 'started' end as outcome,
             e.id, e.place
        from pawl.put_tasks(case v_starts when 'process' then pawl.tasks_of_runs(v_tasks) else v_tasks end,
          v_starts <> 'job') with ordinality e (id, outcome, place)
    ), noted as (
      insert into pawl.schedule_run (schedule_id, due_at, outcome, task_id, by)
      select p.schedule_id, p.due_at, p.outcome, p.id, p_by from put p
      on conflict (schedule_id, due_at) do update
        set outcome = excluded.outcome, task_id = excluded.task_id, since = null, amount = 1, error = null, by = excluded.by, at = pawl.now()
    )
    select p.schedule_id, p.due_at, p.outcome, p.id from put p order by p.place;
  end loop;
end $$;

-- The same for one schedule that an operator starts.
create or replace function pawl.put_schedule_now(p_schedule int, p_dues timestamptz[], p_by text)
returns table (due_at timestamptz, outcome text, task_id bigint)
language plpgsql volatile as $$
#variable_conflict use_column
begin
  for due_at, outcome, task_id in
    select p.due_at, p.outcome, p.task_id
      from pawl.put_scheduled(array_fill(p_schedule, array[cardinality(p_dues)]), p_dues, coalesce(nullif(p_by, ''), session_user)) p
  loop
    return next;
  end loop;
  update pawl.schedule s set last_task = coalesce(put_schedule_now.task_id, s.last_task) where s.id = p_schedule;
  perform pawl.trim_schedule_runs(array[p_schedule], true);
end $$;

-- The last tasks of schedules are asked to end, so that the due times that wait can start. What somebody holds is not waited for, but left to the
-- next look. Returns the schedules whose task was asked, and those whose task could not be asked with the error.
create or replace function pawl.cancel_scheduled_v1(p_schedules int[], p_tasks bigint[]) returns table (schedule_id int, error text)
language plpgsql volatile
set lock_timeout = '500ms' as $$
#variable_conflict use_column
declare
  v_ids int[];
  v_tasks bigint[];
  v_held bigint[];
begin
  -- what was turned off since the look keeps its running task: no due time would follow it
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  v_held := array(select h from pawl.held_tasks_v1(p_tasks) h);
  select array_agg(s.id), array_agg(s.last_task) into v_ids, v_tasks from (
    select s.id, s.last_task from unnest(p_schedules, p_tasks) u (id, task) join pawl.schedule s on s.id = u.id and s.last_task = u.task
     where u.task <> all (v_held)
       and not exists (select from pawl.schedule_holds('{}') h where h.name = s.name or h.name is null and not pawl.is_exempt(h.exempt, s.name))
     order by s.id for no key update of s skip locked) s;
  return query select u.id, format('somebody holds the row of task %s', u.task) from unnest(p_schedules, p_tasks) u (id, task) where u.task = any (v_held);
  if v_ids is null then return; end if;
  begin
    update pawl.schedule s set cancelled_task = s.last_task where s.id = any (v_ids);
    perform pawl.cancel_v1(v_tasks, 'pawl', 'the next due time of its schedule has come', 'schedules.cancel');
    return query select u.id, null::text from unnest(v_ids) u (id);
  exception when others then
    if cardinality(v_ids) = 1 then
      return query select v_ids[1], sqlerrm;
    else -- one of them is at fault
      return query select c.* from unnest(v_ids, v_tasks) u (id, task) cross join lateral pawl.cancel_scheduled_v1(array[u.id], array[u.task]) c;
    end if;
  end;
end $$;
