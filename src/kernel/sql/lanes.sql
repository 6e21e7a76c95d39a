-- Lanes: strict order for one key. The head of a lane is an ordinary task; the tasks behind it wait.
-- The promise: if transaction B saw or locked what A had changed before B recorded, A's task comes first. It rests on
-- ids: B takes its id after A committed, and whoever sees B's task sees A's.

-- These tables fill and empty within seconds, and a plan made while they were empty must do when they are full: rows
-- are locked and changed by arrays of ids, and neighbours in a lane are found by comparing whole index rows, in the
-- order of that index. Where a join or an equality would do, the planner may take an index whole.

-- The next task of lanes whose head was removed by this transaction, in a statement before: the oldest that waits.
create or replace function pawl.promote_lanes_v1(p_queues int[], p_lanes text[]) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := pawl.now();
  v_queues int[] := p_queues;
  v_lanes text[] := p_lanes;
  v_next bigint[];
  v_promoted bigint[];
begin
  perform pawl.require_read_committed();
  perform pg_current_xact_id(); -- before the first seq
  loop
    select array_agg(n.id), array_agg(l.queue_id), array_agg(l.lane) into v_next, v_queues, v_lanes
      from (select distinct u.queue_id, u.lane from unnest(v_queues, v_lanes) u (queue_id, lane)) l
      cross join lateral (
        select x.id, x.queue_id, x.lane from pawl.task x
         where x.state = 'waiting' and (x.queue_id, x.lane, x.id) >= (l.queue_id, l.lane, 0)
         order by x.queue_id, x.lane, x.id limit 1) n
     where n.queue_id = l.queue_id and n.lane = l.lane;
    exit when v_next is null;
    with promoted as (
      update pawl.task t
         set state = case when t.run_at > v_now then 'scheduled' else 'ready' end, seq = nextval('pawl.seq')
       where t.id = any (v_next)
      returning t.id
    )
    select array_agg(p.id) into v_promoted from promoted p;
    exit when cardinality(v_promoted) = cardinality(v_next);
    -- a task that another transaction removed at this moment was not promoted: look at its lane again
    select array_agg(u.queue_id), array_agg(u.lane) into v_queues, v_lanes
      from unnest(v_next, v_queues, v_lanes) u (id, queue_id, lane)
     where not u.id = any (coalesce(v_promoted, '{}'));
  end loop;
  perform pawl.wake_v1();
end $$;

-- The next arrivals: their ids and the number of each one's lane; by number, the last row of the lane, and whether that one
-- waits. A lane gets a few arrivals, an empty lane only 4. Its plans are those of pawl.sort_lanes_v1, which alone calls it.
create or replace function pawl.next_arrivals(p_limit int, p_after_queue int, p_after_lane text,
  out ids bigint[], out numbers int[], out last bigint[], out is_waiting boolean[])
language plpgsql volatile as $$
#variable_conflict use_column
begin
  -- steps from lane to lane, no further than the arrivals that fill the pass
  with recursive arrived as (
    (select t.queue_id, t.lane, 1 as number from pawl.task t
      where t.state = 'arrived' and (t.queue_id, t.lane) > (coalesce(p_after_queue, 0), coalesce(p_after_lane, ''))
      order by t.queue_id, t.lane limit 1)
    union all
    select n.queue_id, n.lane, a.number + 1 from arrived a cross join lateral (
      select t.queue_id, t.lane from pawl.task t
       where t.state = 'arrived' and (t.queue_id, t.lane) > (a.queue_id, a.lane)
       order by t.queue_id, t.lane limit 1) n
  ), seen as materialized (
    select s.id, a.number, a.queue_id, a.lane, b.last, b.is_waiting
      from arrived a
      left join lateral (
        select t.id, t.queue_id, t.lane from pawl.task t
         where t.state = 'waiting' and (t.queue_id, t.lane, t.id) <= (a.queue_id, a.lane, 9223372036854775807)
         order by t.queue_id desc, t.lane desc, t.id desc limit 1) w on true
      left join lateral (
        select t.id, t.queue_id, t.lane from pawl.task t
         where t.lane is not null and t.state in ('ready', 'scheduled', 'blocked', 'limited') and (t.queue_id, t.lane) >= (a.queue_id, a.lane)
         order by t.queue_id, t.lane limit 1) h on true
      cross join lateral (select
        case when w.queue_id = a.queue_id and w.lane = a.lane then w.id
             when h.queue_id = a.queue_id and h.lane = a.lane then h.id end as last,
        coalesce(w.queue_id = a.queue_id and w.lane = a.lane, false) as is_waiting) b
      cross join lateral (
        select t.id, t.queue_id, t.lane from pawl.task t where t.state = 'arrived' and (t.queue_id, t.lane, t.id) >= (a.queue_id, a.lane, 0)
         order by t.queue_id, t.lane, t.id limit case when b.last is null then 4 else 50 end) s
     where s.queue_id = a.queue_id and s.lane = a.lane
     limit p_limit
  ), lane as (
    select min(s.last) as last, bool_or(s.is_waiting) as is_waiting, s.number from seen s group by s.number
  )
  select (select array_agg(s.id) from seen s), (select array_agg(s.number) from seen s),
         array_agg(l.last order by l.number), array_agg(l.is_waiting order by l.number)
    into ids, numbers, last, is_waiting from lane l;
end $$;

-- Locks these arrivals and the last row of their lanes, without waiting; returns by number which lanes can be sorted.
create or replace function pawl.lock_lanes(p_ids bigint[], p_numbers int[], p_last bigint[], p_is_waiting boolean[]) returns boolean[]
language plpgsql volatile as $$
declare
  v_mine bigint[];
  v_held bigint[];
  v_sortable boolean[];
begin
  select array_agg(m.id) into v_mine from (
    select t.id from pawl.task t where t.id = any (p_ids) and t.state <> 'waiting' and t.state <> 'ready' for update skip locked) m;
  select array_agg(h.id) into v_held from (
    select t.id from pawl.task t
     where t.id = any (array(select u.id from unnest(p_last, p_is_waiting) u (id, is_waiting) where u.is_waiting))
       and t.state <> 'ready' and t.state <> 'scheduled' for update skip locked) h;
  select v_held || array_agg(h.id) into v_held from (
    select t.id from pawl.task t
     where t.id = any (array(select u.id from unnest(p_last, p_is_waiting) u (id, is_waiting) where not u.is_waiting))
       and t.state <> 'waiting' and t.state <> 'arrived' for update skip locked) h;
  select array_agg(u.id is null or u.id = any (coalesce(v_held, '{}')) order by u.number) into v_sortable
    from unnest(p_last) with ordinality u (id, number);
  if cardinality(v_mine) is distinct from cardinality(p_ids) then
    -- a lane with a missing arrival is left for later
    select array_agg(s.is_sortable and not s.number = any (m.numbers) order by s.number) into v_sortable
      from unnest(v_sortable) with ordinality s (is_sortable, number)
      cross join (select array_agg(distinct u.number) as numbers from unnest(p_ids, p_numbers) u (id, number)
        where not u.id = any (coalesce(v_mine, '{}'))) m;
  end if;
  return v_sortable;
end $$;

-- Gives arrivals their place: behind what waits, behind a head, or at it; lane by lane, beginning after the lane given,
-- so that a lane that cannot be sorted now holds up no other. A lane gets a few at a time, an empty lane only 4, so that
-- many lanes get a head soon. One sorter at a time; null if another one works.
-- While it works it locks the last row of each lane, so that the lane cannot run empty meanwhile; mostly nothing contends for that
-- row. It never waits: a lane of which it cannot lock that row, or an arrival, is left for the next round.
-- No other transaction makes a task the head of a lane that had none. Returns the last lane seen; null at the end.
create or replace function pawl.sort_lanes_v1(p_limit int, p_after_queue int, p_after_lane text)
returns table (sorted int, after_queue int, after_lane text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_ids bigint[];            -- the arrivals of this pass, and the number of each one's lane
  v_numbers int[];
  v_last bigint[];           -- by number: the last row of the lane, and whether that one waits
  v_is_waiting boolean[];
  v_sortable boolean[];
  v_heads bigint[];
  v_ready int;
begin
  sorted := 0;
  if not exists (select 1 from pawl.task t where t.state = 'arrived') then
    return next;
    return;
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('pawl.sort_lanes', 0)) then
    sorted := null;
    return next;
    return;
  end if;
  perform pawl.require_read_committed();
  perform pg_current_xact_id(); -- before the first seq
  -- if a crash undoes a pass, it is done again; a later settle is written after it
  perform set_config('synchronous_commit', 'off', true);
  select a.ids, a.numbers, a.last, a.is_waiting into v_ids, v_numbers, v_last, v_is_waiting
    from pawl.next_arrivals(p_limit, p_after_queue, p_after_lane) a;
  if v_ids is null then
    return next;
    return;
  end if;
  v_sortable := pawl.lock_lanes(v_ids, v_numbers, v_last, v_is_waiting);
  select array_agg(f.id) into v_heads from (
    select min(u.id) as id from unnest(v_ids, v_numbers) u (id, number)
     where v_sortable[u.number] and v_last[u.number] is null group by u.number) f;
  with placed as (
    update pawl.task t set state = case when t.run_at > v_now then 'scheduled' else 'ready' end, seq = nextval('pawl.seq')
     where t.id = any (v_heads)
    returning t.state
  )
  select count(*) filter (where p.state = 'ready') into v_ready from placed p;
  update pawl.task t set state = 'waiting'
   where t.id = any (array(select u.id from unnest(v_ids, v_numbers) u (id, number) where v_sortable[u.number]
     except select unnest(v_heads)));
  get diagnostics sorted = row_count;
  sorted := sorted + coalesce(cardinality(v_heads), 0);
  if cardinality(v_ids) = p_limit then
    select t.queue_id, t.lane into after_queue, after_lane from pawl.task t where t.id = v_ids[p_limit];
  end if;
  if v_ready > 0 then perform pawl.wake_v1(); end if;
  return next;
end $$;
