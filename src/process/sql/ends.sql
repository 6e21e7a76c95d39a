-- Runs that wait for a task to end: another run, or a request; or for all deliveries of an event. The row that waits names it as its signal,
-- pawl:task:<id> or pawl:event:<id>, which no definition may use. The end of a task is such a signal; of an event, its worker looks itself.

-- A task as what waits for it sees it; ending: {"id", "status", "output": of a run, what its last step returned if it came to that}, or of
-- a request {"id", "status", "result", "error"}.
create or replace function pawl.waited_task(p_id bigint) returns table (queue text, kind text, status text, ending jsonb)
language sql stable as $$
  select t.queue, t.kind, o.status, jsonb_build_object('id', t.id::text, 'status', o.status)
         || case when t.queue = 'processes'
              then jsonb_build_object('output', case when t.state = 'done' and m.outcome in ('done', 'completed') then m.output end)
              else jsonb_build_object('result', t.result, 'error', t.error ->> 'message') end
    from pawl.task_v1 t
    left join pawl.process_version v on t.queue = 'processes' and v.process = t.kind and v.version = t.version
    left join lateral pawl.last_step(t.id) s on t.queue = 'processes'
    left join lateral pawl.last_move(t.id, v.shape -> -1) m on t.queue = 'processes'
    cross join lateral (select case when t.queue <> 'processes' then t.state
      else pawl.run_status(t.state, s.outcome, case when m.outcome = 'ended' then m.output ->> 'status' end) end as status) o
   where t.id = p_id
$$;

-- Lets the runs look again that wait for these events.
create or replace function pawl.wake_for_events(p_ids uuid[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_runs bigint[];
begin
  select array_agg(distinct s.run_id) into v_runs
    from unnest(p_ids) u (id)
    join pawl.process_step s on s.signal = 'pawl:event:' || u.id and s.signal like 'pawl:%'
   where s.outcome = 'waiting' and pawl.still_waits(s.run_id, s.no);
  if v_runs is not null then perform pawl.wake_soon(v_runs); end if;
end $$;

-- The outbox's hook.
create or replace function pawl.on_unrouted(p_ids uuid[]) returns void
language plpgsql volatile as $$ begin perform pawl.wake_for_events(p_ids); end $$;

-- The kernel's hook. A run that no longer waits for the task is told nothing.
create or replace function pawl.on_end(p_ids bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_runs bigint[];
  v_events uuid[] := array(select v.id from pawl.events_of_deliveries(p_ids) v (id));
begin
  if v_events <> '{}' then perform pawl.wake_for_events(v_events); end if;
  with told as (
    insert into pawl.process_signal (run_id, name, payload)
    select s.run_id, s.signal, t.ending
      from unnest(p_ids) u (id)
      join pawl.process_step s on s.signal = 'pawl:task:' || u.id and s.signal like 'pawl:%'
      cross join lateral pawl.waited_task(u.id) t
     where s.outcome = 'waiting' and pawl.still_waits(s.run_id, s.no)
    returning run_id
  )
  select array_agg(distinct t.run_id) into v_runs from told t;
  if v_runs is not null then perform pawl.wake_soon(v_runs); end if;
end $$;

-- Records the events that rows wait for which were just recorded, and only those.
create or replace function pawl.record_waited(p_steps jsonb, p_mine bigint[]) returns void
language plpgsql volatile as $$
begin
  update pawl.process_step s set signal = 'pawl:event:' || pawl.record_watched(d.event)
    from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int, event jsonb)
   where d.event is not null and d.seq = any (p_mine) and s.run_id = d.id and s.no = d.no and s.seq = d.seq and s.signal is null;
end $$;

-- What a run belongs to that a step of this one has started.
create or replace function pawl.run_ref(p_parent bigint) returns text
language sql immutable return 'run:' || p_parent;

-- The runs that a run has started, and those that they have started, and so on, that have not ended: up to p_limit. Not a run that one of
-- them only waits for, because it had the same key.
create or replace function pawl.living_children_v1(p_id bigint, p_limit int) returns table (id bigint)
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with recursive family as (
    select p_id as id, false as is_live
    union
    select t.id, t.is_live
      from family f
      join pawl.process_step s on s.run_id = f.id and s.outcome = 'waiting' and s.signal like 'pawl:task:%'
      cross join lateral (select c.id, c.ended_at is null or c.state = 'dead' as is_live from pawl.task_v1 c
        where c.id = substr(s.signal, 11)::bigint and c.queue = 'processes' and c.ref = pawl.run_ref(f.id)) t
  )
  select f.id from family f where f.is_live limit p_limit
$$;

-- Of runs, each with the task that it is to wait for: those whose task is a run in their own lane, which would begin only after their end.
create or replace function pawl.own_lanes(p_runs bigint[], p_tasks bigint[]) returns table (run bigint, lane text)
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select u.run, p.lane
    from unnest(p_runs, p_tasks) u (run, task)
    join pawl.task_v1 p on p.id = u.run
    join pawl.task_v1 c on c.id = u.task
   where p.lane is not null and c.lane = p.lane and c.queue = 'processes'
$$;

-- The seqs of those runs that start something and that nobody has abandoned. Their tasks are locked, as an operator who abandons one locks
-- it: either he sees what it has started, or it starts nothing.
create or replace function pawl.not_abandoned(p_steps jsonb, p_mine bigint[]) returns bigint[]
language plpgsql volatile as $$
begin
  perform pawl.hold_task(r.id)
    from (select distinct d.id from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, start jsonb, request jsonb, event jsonb)
           where d.seq = any (p_mine) and (d.start is not null or d.request is not null or d.event is not null) order by d.id) r;
  return array(
    select d.seq from jsonb_to_recordset(p_steps) d (id bigint, seq bigint)
     where d.seq = any (p_mine) and not exists (select 1 from pawl.process_step s where s.run_id = d.id and s.outcome = 'abandoned'
       and s.no = 2147483647));
end $$;

-- Starts what rows wait for that were just recorded, and only that: [{"id", "no", "seq", "start": a run as in start_processes_v1, or
-- "request": one as in send_v1}]. A run whose key a live one has is that one.
create or replace function pawl.start_waited(p_steps jsonb, p_mine bigint[]) returns void
language plpgsql volatile as $$
declare
  v_runs bigint[];
  v_nos int[];
  v_starts jsonb;
  v_requests jsonb;
  v_tasks bigint[];
  v_run bigint;
  v_lane text;
begin
  select array_agg(d.id order by d.request is null, d.id), array_agg(d.no order by d.request is null, d.id),
         coalesce(jsonb_agg(d.start || jsonb_build_object('ref', pawl.run_ref(d.id)) order by d.id) filter (where d.request is null), '[]'),
         coalesce(jsonb_agg(d.request order by d.id) filter (where d.request is not null), '[]')
    into v_runs, v_nos, v_starts, v_requests
    from jsonb_to_recordset(p_steps) d (id bigint, seq bigint, no int, start jsonb, request jsonb)
    join pawl.process_step s on s.run_id = d.id and s.no = d.no and s.seq = d.seq and s.signal is null
   where (d.start is not null or d.request is not null) and d.seq = any (p_mine);
  if v_runs is null then return; end if;
  v_tasks := array(select r.id::bigint from pawl.send_v1(v_requests) with ordinality r (id, outcome, place) order by r.place)
    || array(select c.id::bigint from pawl.start_processes_v1(v_starts) with ordinality c (id, outcome, place) order by c.place);
  if v_runs && v_tasks and exists (select 1 from unnest(v_runs, v_tasks) u (run, task) where u.run = u.task) then
    raise exception 'run %: its child would be the run itself, which has the child''s key',
      (select u.run from unnest(v_runs, v_tasks) u (run, task) where u.run = u.task limit 1) using errcode = 'PW010',
      hint = 'give the step another key';
  end if;
  select l.run, l.lane into v_run, v_lane from pawl.own_lanes(v_runs, v_tasks) l limit 1;
  if found then
    raise exception 'run %: its child would be in its own lane "%", and wait behind it for ever', v_run, v_lane using errcode = 'PW010',
      hint = 'give the child another lane, or none';
  end if;
  update pawl.process_step s set signal = 'pawl:task:' || u.task
    from unnest(v_runs, v_nos, v_tasks) u (run, no, task) where s.run_id = u.run and s.no = u.no;
  perform pawl.watch_tasks(v_tasks);
end $$;
