-- Tasks that wait for others: "after": ids of tasks that are there already, so that none waits in a circle; "on_dead": what one that is not done means,
--   wait (default: a dead letter is waited for until it is retried or removed; cancelled, expired and removed ones cancel what waits),
--   cancel (a dead one cancels at once), run (any end counts).
-- What waits is parked. Enqueueing only inserts, and locks no other task: the promoter marks those that are waited for as watched, and finds what has
-- ended before. The end of the last one wakes it, in the same transaction. Whoever has no lock of what waits leaves it to the promoter.

-- Refuses bad ones before anything is written.
create or replace function pawl.check_after(p_tasks jsonb) returns void
language plpgsql stable as $$
declare
  v_place bigint;
  v_wrong text;
  v_rule text;
begin
  select e.place, format('%s: %s', f.name, left(f.value, 100)), f.rule into v_place, v_wrong, v_rule
    from jsonb_array_elements(p_tasks) with ordinality e (task, place)
    cross join lateral (values
      (1, 'bad after', e.task ->> 'after', case when jsonb_typeof(e.task -> 'after') = 'array'
          then jsonb_array_length(e.task -> 'after') <= 1000 and not exists (
            select from jsonb_array_elements_text(e.task -> 'after') a (id) where a.id is null or a.id !~ '^[1-9][0-9]{0,17}$')
          else coalesce(e.task -> 'after', 'null') = 'null' end, 'after is a list of up to 1000 ids of tasks'),
      (2, 'bad on_dead', e.task ->> 'on_dead', e.task ->> 'on_dead' is null
          or (e.task ->> 'on_dead' in ('wait', 'cancel', 'run') and e.task ->> 'after' is not null), 'on_dead is wait, cancel or run, beside after'),
      (3, 'bad after', 'with a time', e.task ->> 'after' is null or coalesce(e.task ->> 'run_at', e.task ->> 'delay_ms') is null,
          'with after no run_at and no delay_ms is given'),
      (4, 'bad after', 'with such a key', e.task ->> 'after' is null or not coalesce(e.task -> 'unique' ?| '{replace, debounce_ms}', false),
          'with after, unique is no other than for_ms')) f (no, name, value, is_good, rule)
   where not f.is_good order by e.place, f.no limit 1;
  if found then raise exception 'task no. % of the call: %', v_place, v_wrong using errcode = 'PW010', hint = v_rule; end if;
  select e.place, a.id into v_place, v_wrong
    from jsonb_array_elements(p_tasks) with ordinality e (task, place)
    cross join lateral jsonb_array_elements_text(coalesce(nullif(e.task -> 'after', 'null'), '[]')) a (id)
   where not exists (select from pawl.task t where t.id = a.id::bigint) and not exists (select from pawl.dead d where d.id = a.id::bigint)
     and not exists (select from pawl.finished f where f.id = a.id::bigint)
   order by e.place limit 1;
  if found then
    raise exception 'task no. % of the call: after: there is no task %', v_place, v_wrong using errcode = 'PW010',
      hint = 'enqueue it before, in this transaction or in one that has committed; retention may have removed it';
  end if;
end $$;

-- As pawl.put_tasks, for tasks of which some have "after" or "unique".
create or replace function pawl.put_special_tasks(p_tasks jsonb, p_is_part boolean, p_checked text[]) returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_tasks jsonb;
  v_ids bigint[];
  v_outcomes text[];
  v_waiting bigint[];
begin
  if not p_tasks @? '$[*] ? (exists (@.after) || exists (@.on_dead))' then
    return query select u.id, u.outcome from pawl.put_unique_tasks(p_tasks, p_is_part, p_checked) u;
    return;
  end if;
  perform pawl.check_after(p_tasks);
  -- far ahead until it is parked
  select jsonb_agg((e.task - '{after, on_dead}'::text[]) || case when jsonb_array_length(nullif(e.task -> 'after', 'null')) > 0
           then '{"delay_ms": 315360000000}' else '{}'::jsonb end order by e.place)
    into v_tasks from jsonb_array_elements(p_tasks) with ordinality e (task, place);
  select array_agg(p.id order by p.place), array_agg(p.outcome order by p.place) into v_ids, v_outcomes
    from pawl.put_tasks(v_tasks, p_is_part, p_checked) with ordinality p (id, outcome, place);
  with waits as (
    insert into pawl.task_after (task_id, after_id, on_dead)
    select distinct u.id, a.id::bigint, coalesce(e.task ->> 'on_dead', 'wait')
      from unnest(v_ids, v_outcomes) with ordinality u (id, outcome, place)
      join jsonb_array_elements(p_tasks) with ordinality e (task, place) using (place)
      cross join lateral jsonb_array_elements_text(coalesce(nullif(e.task -> 'after', 'null'), '[]')) a (id)
     where u.outcome = 'created'
    returning task_id
  )
  select array_agg(distinct w.task_id) into v_waiting from waits w;
  update pawl.task t set run_at = 'infinity' where t.id = any (v_waiting);
  insert into pawl.task_to_wake (task_id, is_after) select w.id, true from unnest(v_waiting) w (id);
  perform pawl.wake_v1();
  return query select u.id, u.outcome from unnest(v_ids, v_outcomes) with ordinality u (id, outcome, place) order by u.place;
end $$;

-- Notes for what waits that these tasks have ended or died. One that lives (a dead letter that was just retried) is left out; of one that
-- retention has removed meanwhile the end counts as good.
create or replace function pawl.note_ends(p_ids bigint[]) returns void
language sql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with ends as materialized (
    select u.id, coalesce(d.outcome, f.outcome, 'done') as outcome
      from unnest(p_ids) u (id)
      left join lateral (select 'dead' as outcome from pawl.dead o where o.id = u.id) d on true
      left join lateral (select h.outcome from pawl.finished h where h.id = u.id limit 1) f on true
     where not exists (select from pawl.task t where t.id = u.id and t.state <> 'blocked')
  ), over as (
    delete from pawl.task_after a using ends e where a.after_id = e.id and (e.outcome = 'done' or a.on_dead = 'run')
  )
  update pawl.task_after a set failed = e.outcome from ends e
   where a.after_id = e.id and e.outcome <> 'done' and (a.on_dead = 'cancel' or (a.on_dead = 'wait' and e.outcome <> 'dead'))
$$;

-- Lets go on what waits for nothing any more. The caller has locked the tasks. p_may_end: also ends those that wait for one that failed; else the
-- promoter does: many that wait for each other would be ended within each other.
create or replace function pawl.release_after(p_ids bigint[], p_may_end boolean) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_free bigint[] := array(select u.id from unnest(p_ids) u (id) where not exists (select from pawl.task_after a where a.task_id = u.id));
  v_bad record;
begin
  update pawl.task t set run_at = pawl.now() where t.id = any (v_free) and t.run_at = 'infinity' and t.state in ('arrived', 'waiting');
  v_free := array(select t.id from pawl.task t where t.id = any (v_free) and t.run_at = 'infinity' and t.state = 'scheduled');
  if v_free <> '{}' then perform pawl.wake_tasks(v_free); end if;
  if not p_may_end then
    insert into pawl.task_to_wake (task_id, is_after)
    select distinct a.task_id, true from pawl.task_after a where a.task_id = any (p_ids) and a.failed is not null;
    if found then perform pawl.wake_v1(); end if;
    return;
  end if;
  for v_bad in
    select a.task_id, min(a.after_id) as after_id, (array_agg(a.failed order by a.after_id))[1] as failed
      from pawl.task_after a where a.task_id = any (p_ids) and a.failed is not null group by a.task_id order by a.task_id
  loop
    delete from pawl.task_after a where a.task_id = v_bad.task_id;
    -- one that a person has started in spite of it goes on
    perform pawl.finish_v1(array[v_bad.task_id], 'cancelled', jsonb_build_object('name', 'Cancelled',
        'message', format('task %s, which it waited for, %s', v_bad.after_id,
          case v_bad.failed when 'dead' then 'is dead' when 'expired' then 'has expired' else 'was ' || v_bad.failed end)))
      from pawl.task t where t.id = v_bad.task_id and t.run_at = 'infinity' and t.state in ('scheduled', 'arrived', 'waiting');
  end loop;
end $$;

-- Watched tasks have ended or died. Lets go on a few hundred at once, and leaves the others to the promoter: this runs in the turn of whoever
-- ended them.
create or replace function pawl.after_ended(p_ids bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_ids bigint[] := array(select distinct a.task_id from pawl.task_after a where a.after_id = any (p_ids) order by a.task_id);
  v_free bigint[];
begin
  if v_ids = '{}' then return; end if;
  perform pawl.note_ends(p_ids);
  v_free := array(select t.id from pawl.task t where t.id = any (v_ids[1 : 300]) order by t.id for update skip locked);
  insert into pawl.task_to_wake (task_id, is_after) select u.id, true from (select unnest(v_ids) except select unnest(v_free)) u (id);
  if found then perform pawl.wake_v1(); end if;
  perform pawl.release_after(v_free, false);
end $$;

-- The promoter's: what has just come, or was locked. The caller has locked the tasks. Returns those to look at again: somebody holds one that
-- they wait for, and may be ending it. Those that they wait for are locked without waiting, also watched ones: only of a row that is
-- locked, or of one in history, is it sure that no end of it is missed.
create or replace function pawl.look_after(p_ids bigint[]) returns bigint[]
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_others bigint[] := array(select distinct a.after_id from pawl.task_after a where a.task_id = any (p_ids) and a.failed is null);
  v_live bigint[];
  v_over bigint[]; -- dead, or in history
  v_held bigint[];
begin
  v_live := array(select t.id from pawl.task t where t.id = any (v_others) and t.state <> 'blocked' order by t.id for update skip locked);
  v_over := array(select d.id from pawl.dead d where d.id = any (v_others) order by d.id for update skip locked);
  update pawl.task t set is_watched = true where t.id = any (v_live) and t.is_watched is not true;
  update pawl.dead d set is_watched = true where d.id = any (v_over) and d.is_watched is not true;
  v_over := v_over || array(
    select u.id from unnest(v_others) u (id)
     where not exists (select from pawl.task t where t.id = u.id) and not exists (select from pawl.dead d where d.id = u.id));
  v_held := array(select unnest(v_others) except select unnest(v_live || v_over));
  perform pawl.note_ends(v_over);
  perform pawl.release_after(p_ids, true);
  return array(
    select distinct a.task_id from pawl.task_after a
     where v_held <> '{}' and a.task_id = any (p_ids) and a.failed is null and a.after_id = any (v_held));
end $$;

-- Of tasks that have just arrived in lanes, by their ids: one that is older than the head of its lane becomes the head if that one is parked
-- because it waits for others, which may be this very task: each would wait for the other. The parked one waits behind it.
create or replace function pawl.go_before_parked(p_ids bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_one record;
  v_head bigint;
begin
  perform pg_current_xact_id(); -- before the first seq
  perform from pawl.task t
   where t.state = 'scheduled' and t.run_at = 'infinity' and t.id = any (array(
     select h.id from (
       select distinct a.queue_id, a.lane from pawl.task a where a.id = any (p_ids) and a.state = 'arrived') l
       cross join lateral (
         select x.id from pawl.task x where x.queue_id = l.queue_id and x.lane = l.lane and x.state in ('ready', 'scheduled', 'blocked', 'limited')) h))
   order by t.id for update;
  for v_one in select t.id, t.queue_id, t.lane from pawl.task t where t.id = any (p_ids) and t.state = 'arrived' order by t.id loop
    update pawl.task t set state = 'waiting'
     where t.queue_id = v_one.queue_id and t.lane = v_one.lane and t.state in ('ready', 'scheduled', 'blocked', 'limited')
       and t.state = 'scheduled' and t.run_at = 'infinity' and t.id > v_one.id and exists (select from pawl.task_after a where a.task_id = t.id)
    returning t.id into v_head;
    if v_head is not null then
      update pawl.task t set state = 'ready', seq = nextval('pawl.seq') where t.id = v_one.id;
    end if;
  end loop;
end $$;

-- Whether a task waits for another end of this dead one; to all else its death was the end. is_watched of the dead one does not say so: it
-- stays when what waited has ended, and is set later than what waits.
create or replace function pawl.is_waited_for(p_id bigint) returns boolean
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  select exists (select from pawl.task_after a join pawl.task t on t.id = a.task_id where a.after_id = p_id and a.failed is null)
$$;

-- For which tasks one waits: how many, the first of them, and those that are dead.
create or replace function pawl.why_after(p_id bigint) returns jsonb
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  select jsonb_build_object('left', count(*), 'after', coalesce(jsonb_agg(o.after_id::text order by o.after_id) filter (where o.place <= 10), '[]'),
           'dead', coalesce(jsonb_agg(o.after_id::text order by o.after_id) filter (where o.is_dead), '[]'))
    from (select a.after_id, row_number() over (order by a.after_id) as place, exists (select from pawl.dead d where d.id = a.after_id) as is_dead
            from pawl.task_after a where a.task_id = p_id) o
$$;
