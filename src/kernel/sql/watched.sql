-- Tasks whose end others wait for. What waits is told by pawl.on_end, in the transaction that ends the task.

-- Lets pawl.on_end be called when these tasks end or die; for those that have already, at once.
create or replace function pawl.watch_tasks(p_ids bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_live bigint[];
  v_over bigint[];
begin
  perform pawl.require_read_committed();
  loop
    perform from pawl.task t where t.id = any (p_ids) and t.state <> 'blocked' order by t.id for update;
    with live as (
      update pawl.task t set is_watched = true where t.id = any (p_ids) and t.state <> 'blocked' returning t.id
    )
    select array_agg(l.id) into v_live from live l;
    v_over := array(select u.id from unnest(p_ids) u (id) where not u.id = any (coalesce(v_live, '{}')));
    if v_over = '{}' then return; end if;
    update pawl.dead d set is_watched = true where d.id = any (v_over);
    -- a dead letter that was retried before this lock lives again
    exit when not exists (select from pawl.task t where t.id = any (v_over) and t.state <> 'blocked');
  end loop;
  perform pawl.on_end(v_over);
end $$;

-- Wakes tasks as pawl.wake_tasks does, but waits for no lock: whoever calls it holds locks of other tasks. Those whose rows are locked are
-- woken by the promoter.
create or replace function pawl.wake_soon(p_ids bigint[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_free bigint[] := array(select t.id from pawl.task t where t.id = any (p_ids) for update skip locked);
begin
  if v_free <> '{}' then perform pawl.wake_tasks(v_free); end if;
  if cardinality(v_free) = cardinality(p_ids) then return; end if;
  insert into pawl.task_to_wake (task_id)
  select t.id from pawl.task t where t.id = any (p_ids) and not t.id = any (v_free) and t.state in ('ready', 'scheduled');
  if found then perform pawl.wake_v1(); end if;
end $$;

-- The same for all tasks of a queue.
create or replace function pawl.wake_queue(p_queue text) returns void
language plpgsql volatile as $$
declare
  v_ids bigint[] := array(select l.id from pawl.queue q cross join lateral pawl.live_tasks_of(q.id) l (id) where q.name = p_queue);
begin
  if v_ids <> '{}' then perform pawl.wake_soon(v_ids); end if;
end $$;

-- Waits for no lock either: what is still locked stays for later, each time for twice as long. Few at a time, because it locks what they wait
-- for. Returns true if there may be more that are due.
create or replace function pawl.wake_left() returns boolean
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_limit constant int := 100;
  v_now timestamptz := pawl.now();
  v_rows tid[];
  v_left bigint[];
  v_free bigint[];
  v_gone bigint[];
  v_after bigint[];
  v_plain bigint[];
  v_again bigint[];
begin
  select array_agg(l.ctid), array_agg(distinct l.task_id) into v_rows, v_left from (
    select w.ctid, w.task_id from pawl.task_to_wake w where w.due_at <= v_now order by w.due_at limit v_limit for update skip locked) l;
  if v_rows is null then return false; end if;
  v_free := array(select t.id from pawl.task t where t.id = any (v_left) order by t.id for update skip locked);
  v_gone := array(select u.id from unnest(v_left) u (id) where not exists (select from pawl.task t where t.id = u.id));
  select array_agg(distinct w.task_id) filter (where w.is_after), array_agg(distinct w.task_id) filter (where not w.is_after)
    into v_after, v_plain from pawl.task_to_wake w where w.ctid = any (v_rows) and w.task_id = any (v_free);
  delete from pawl.task_after a where a.ctid = any (array(
    select g.ctid from pawl.task_after g where g.task_id = any (v_gone) for update skip locked));
  if v_plain is not null then perform pawl.wake_tasks(v_plain); end if;
  v_again := array(select unnest(v_left) except select unnest(v_free || v_gone));
  if v_after is not null then v_again := v_again || pawl.look_after(v_after); end if;
  delete from pawl.task_to_wake w where w.ctid = any (v_rows) and not w.task_id = any (v_again);
  update pawl.task_to_wake w set due_at = v_now + least(50 * 2 ^ w.tries, 2000) * interval '1 ms', tries = least(w.tries + 1, 10)
   where w.ctid = any (v_rows) and w.task_id = any (v_again);
  return cardinality(v_rows) = v_limit;
end $$;
