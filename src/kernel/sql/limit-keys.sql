-- Limits per key: of the tasks of one queue with the same limit key only so many run at once, or start in a time.
-- The claim decides, under the lock of the queue's limits, so that nothing else has to be exact. A task that the claim meets and
-- may not start is set aside (state limited): nothing walks over it again. What makes room for a key brings its oldest back, and
-- the claim decides again. So retries, lanes and rescue need nothing of their own here.

-- Of these keys (null: none), those that have tasks that were set aside. One probe for each.
create or replace function pawl.keys_set_aside(p_queues int[], p_keys text[]) returns table (queue_id int, key text)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_nestloop = on set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  if p_keys is null or not exists (select 1 from pawl.task t where t.state = 'limited') then return; end if;
  return query
  select k.queue_id, k.key from (select distinct u.queue_id, u.key from unnest(p_queues, p_keys) u (queue_id, key)) k
    cross join lateral (
      select t.queue_id, t.limit_key from pawl.task t
       where t.state = 'limited' and (t.queue_id, t.limit_key, t.shard_id, t.id) >= (k.queue_id, k.key, 0, 0)
       order by t.queue_id, t.limit_key, t.shard_id, t.id limit 1) n
   where n.queue_id = k.queue_id and n.limit_key = k.key;
end $$;

-- How many more tasks of each key may start; a key comes once. p_wanted: no more are needed, so that a count need not be exact above.
-- The caller holds the queue's limits, or takes the answer for a guess. No row for a key without a limit.
create or replace function pawl.room_of_keys(p_queue int, p_keys text[], p_wanted int[], p_at timestamptz)
returns table (key text, room int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off set enable_hashjoin = on set enable_nestloop = on
set jit = off as $$
#variable_conflict use_column
declare
  v_limit pawl.queue_limit;
begin
  select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue;
  if v_limit.key_concurrency is null and v_limit.key_gap is null then return; end if;
  return query
  with wanted as materialized (
    select w.key, w.tasks from unnest(p_keys, p_wanted) w (key, tasks)
  ), named as materialized ( -- by claims, whether settled or not
    select u.key, count(*)::int as tasks
      from pawl.claim c cross join lateral unnest(c.limit_keys) u (key)
     where v_limit.key_concurrency is not null and c.queue_id = p_queue group by u.key
  ), tight as materialized (
    select w.key from wanted w join named n on n.key = w.key where n.tasks + w.tasks > v_limit.key_concurrency
  ), running as materialized (
    select k.key, count(t.seq)::int as tasks
      from tight k
      join (select c.shard_id, u.seq, u.key from pawl.claim c cross join lateral unnest(c.seqs, c.limit_keys) u (seq, key)
             where c.queue_id = p_queue) n on n.key = k.key
      left join lateral (
        select r.seq from pawl.task r where r.state = 'ready' and r.shard_id = n.shard_id and r.seq = n.seq offset 0) t on true
     group by k.key
  ), brief as materialized (
    select b.key, max(b.tat) as tat from pawl.brief_paces(p_queue, p_at) b where v_limit.key_gap is not null group by b.key
  )
  select w.key, least(v_limit.key_concurrency - coalesce(r.tasks, n.tasks, 0),
           pawl.starts_left(v_limit.key_gap, v_limit.key_burst, coalesce(greatest(p.tat, b.tat), '-infinity'), p_at))
    from wanted w left join named n on n.key = w.key left join running r on r.key = w.key left join brief b on b.key = w.key
    left join lateral (
      select o.tat from pawl.key_pace o where v_limit.key_gap is not null and o.queue_id = p_queue and o.key = w.key offset 0) p on true;
end $$;

-- Counts starts, and notes when the next of what was set aside may start.
create or replace function pawl.count_key_starts(p_queue int, p_keys text[], p_starts int[], p_at timestamptz) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = on set enable_nestloop = on set jit = off as $$
declare
  v_limit pawl.queue_limit;
begin
  select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_queue;
  if v_limit.key_gap is null then return; end if;
  with aside as materialized (
    select a.key from pawl.keys_set_aside(array_fill(p_queue, array[cardinality(p_keys)]), p_keys) a
  ), brief as materialized (
    select b.key, max(b.tat) as tat from pawl.brief_paces(p_queue, p_at) b group by b.key
  ), counted as materialized (
    select u.key, a.key is not null as is_aside, greatest(p.tat, b.tat, p_at) + u.starts * v_limit.key_gap as tat
      from unnest(p_keys, p_starts) u (key, starts)
      left join aside a on a.key = u.key left join brief b on b.key = u.key
      left join lateral (select o.tat from pawl.key_pace o where o.queue_id = p_queue and o.key = u.key offset 0) p on true
  ), bounded as (
    update pawl.queue_limit l set paced_until = c.tat from (select max(c.tat) as tat from counted c) c
     where l.queue_id = p_queue and c.tat > l.paced_until
  )
  insert into pawl.key_pace as k (queue_id, key, tat, due_at)
  select p_queue, c.key, c.tat, case when c.is_aside and c.tat - (v_limit.key_burst - 1) * v_limit.key_gap > p_at
           then c.tat - (v_limit.key_burst - 1) * v_limit.key_gap end
    from counted c order by c.key
  on conflict (queue_id, key) do update set tat = excluded.tat, due_at = excluded.due_at;
end $$;

-- The next tasks of a shard that may start, up to p_limit, and the limit key of each (null: it has none); moves the cursor over them, or
-- takes them from p_late, what a sweep has found. What may not start is set aside. A task of a key of which an older one
-- of the shard is set aside comes after that one. at: the time for which the starts are counted, after the tasks that made room
-- for them ended. has_moved: it looked at tasks that no later call will look at, so another one may find more. The caller holds the queue's limits and the shard. Waits for no lock: a task that somebody has locked stays where it is,
-- and a sweep finds it. In rounds, until there are enough:
-- 1. read the next tasks
-- 2. judge each: whether its key has room, and whether an older one waits
-- 3. set aside what may not start
-- 4. count the starts
create or replace function pawl.next_of_keys(p_shard pawl.shard, p_late bigint[], p_limit int, p_at timestamptz,
  out seqs bigint[], out keys text[], out at timestamptz, out has_moved boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_mergejoin = off set enable_hashjoin = on set enable_nestloop = on
set jit = off as $$
#variable_conflict use_column
declare
  c_rounds constant int := 4;
  c_rows constant int := 500; -- looked at in a round, once something was set aside
  v_cursor bigint := p_shard.cursor;
  v_size int := case when p_shard.solo then 1 else p_limit end;
  v_most int := v_size;
  v_seqs bigint[];
  v_ids bigint[];
  v_keys text[];
  v_names text[]; -- each key of these once, and how many want to start
  v_wanted int[];
  v_good bigint[];
  v_good_keys text[];
  v_aside bigint[];
  v_again text[];
  v_last bigint;
  v_seen text[] := '{}';
  v_admitted int;
begin
  seqs := '{}';
  keys := '{}';
  has_moved := false;
  for v_round in 1 .. c_rounds loop
    -- 1. read the next tasks
    if p_late is not null then
      select array_agg(t.seq order by t.seq), array_agg(t.id order by t.seq), array_agg(t.limit_key order by t.seq) into v_seqs, v_ids, v_keys
        from unnest(p_late) l (seq)
        cross join lateral (
          select r.seq, r.id, r.limit_key from pawl.task r where r.state = 'ready' and r.shard_id = p_shard.id and r.seq = l.seq offset 0) t;
    else
      select array_agg(t.seq order by t.seq), array_agg(t.id order by t.seq), array_agg(t.limit_key order by t.seq) into v_seqs, v_ids, v_keys
        from (select r.seq, r.id, r.limit_key from pawl.task r
               where r.shard_id = p_shard.id and r.state = 'ready' and r.seq > v_cursor order by r.seq limit v_size) t;
    end if;
    exit when v_seqs is null;
    -- 2. judge each: whether its key has room, and whether an older one waits
    select array_agg(w.key), array_agg(w.tasks) into v_names, v_wanted
      from (select u.key, count(*)::int as tasks from unnest(v_keys || keys) u (key) where u.key is not null group by u.key) w;
    with taken as materialized (
      select b.key, count(*)::int as tasks from unnest(keys) b (key) where b.key is not null group by b.key
    ), room as materialized (
      select r.key, r.room - coalesce(b.tasks, 0) as room from pawl.room_of_keys(p_shard.queue_id, v_names, v_wanted, p_at) r
        left join taken b on b.key = r.key
    ), aside as materialized (
      select a.key from pawl.keys_set_aside(array_fill(p_shard.queue_id, array[coalesce(cardinality(v_names), 0)]), v_names) a
    ), first as materialized (
      select a.key, f.id from aside a cross join lateral (
        select t.limit_key, t.shard_id, t.id from pawl.task t
         where t.state = 'limited' and (t.queue_id, t.limit_key, t.shard_id, t.id) >= (p_shard.queue_id, a.key, p_shard.id, 0)
         order by t.queue_id, t.limit_key, t.shard_id, t.id limit 1) f
       where f.limit_key = a.key and f.shard_id = p_shard.id
    ), judged as materialized (
      select u.seq, u.id, u.key, u.place, coalesce(u.id > f.id, false) as is_behind,
             coalesce(row_number() over (partition by u.key order by u.place) > r.room, false) as is_over
        from unnest(v_seqs, v_ids, v_keys) with ordinality u (seq, id, key, place)
        left join room r on r.key = u.key left join first f on f.key = u.key
    ), counted as materialized (
      select j.*, not (j.is_over or j.is_behind) as is_good,
             count(*) filter (where not (j.is_over or j.is_behind)) over (order by j.place rows between unbounded preceding and 1 preceding) as before
        from judged j
    )
    select array_agg(c.seq order by c.place) filter (where c.is_good), array_agg(c.key order by c.place) filter (where c.is_good),
           array_agg(c.id) filter (where not c.is_good), array_agg(distinct c.key) filter (where c.is_behind), max(c.seq),
           v_seen || array_agg(distinct c.key) filter (where c.key is not null)
      into v_good, v_good_keys, v_aside, v_again, v_last, v_seen
      from counted c where c.before < v_most - cardinality(seqs);
    seqs := seqs || coalesce(v_good, '{}');
    keys := keys || coalesce(v_good_keys, '{}');
    v_cursor := v_last;
    -- 3. set aside what may not start
    if v_aside is not null then
      v_aside := array(select t.id from pawl.task t where t.id = any (v_aside) and t.seq = any (v_seqs) for update skip locked);
      update pawl.task t set state = 'limited' where t.id = any (v_aside);
      has_moved := has_moved or v_aside <> '{}';
    end if;
    v_admitted := case when v_again is not null then pawl.admit(p_shard.queue_id, v_again) else 0 end;
    exit when p_late is not null or cardinality(seqs) >= v_most or (cardinality(v_seqs) < v_size and v_admitted = 0);
    v_size := c_rows;
  end loop;
  if p_late is null and v_cursor > p_shard.cursor then
    update pawl.shard s set cursor = v_cursor where s.id = p_shard.id;
    has_moved := true;
  end if;
  -- 4. count the starts
  at := pawl.clock_now();
  select array_agg(s.key), array_agg(coalesce(b.starts, 0)) into v_names, v_wanted
    from (select distinct u.key from unnest(v_seen) u (key)) s
    left join (select u.key, count(*)::int as starts from unnest(keys) u (key) group by u.key) b on b.key = s.key;
  if v_names is not null then perform pawl.count_key_starts(p_shard.queue_id, v_names, v_wanted, at); end if;
end $$;

-- Brings back what was set aside of these keys: in each shard as many as may start now, the oldest first, less those that are ready
-- there. Only a guess: the claim decides. Waits for no lock.
create or replace function pawl.admit(p_queue int, p_keys text[]) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_mergejoin = off set enable_hashjoin = on
set enable_nestloop = on set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  c_unlimited constant int := 1000; -- of a key, at a time
  v_keys text[];
  v_rooms int[];
  v_ids bigint[];
  v_seqs bigint[];
  v_admitted int;
begin
  select array_agg(a.key) into v_keys from pawl.keys_set_aside(array_fill(p_queue, array[cardinality(p_keys)]), p_keys) a;
  if v_keys is null then return 0; end if;
  perform pg_current_xact_id(); -- before the first seq
  select array_agg(u.key), array_agg(least(coalesce(r.room, c_unlimited), c_unlimited)) into v_keys, v_rooms
    from unnest(v_keys) u (key)
    left join pawl.room_of_keys(p_queue, v_keys, array_fill(c_unlimited, array[cardinality(v_keys)]), pawl.clock_now()) r on r.key = u.key;
  v_ids := array(
    select t.id
      from unnest(v_keys, v_rooms) k (key, room)
      cross join lateral (
        with recursive one as (
          (select t.queue_id, t.limit_key, t.shard_id from pawl.task t
            where t.state = 'limited' and (t.queue_id, t.limit_key, t.shard_id, t.id) >= (p_queue, k.key, 0, 0)
            order by t.queue_id, t.limit_key, t.shard_id, t.id limit 1)
          union all
          select n.queue_id, n.limit_key, n.shard_id from one o cross join lateral (
            select t.queue_id, t.limit_key, t.shard_id from pawl.task t
             where t.state = 'limited'
               and (t.queue_id, t.limit_key, t.shard_id, t.id) > (p_queue, k.key, o.shard_id, 9223372036854775807)
             order by t.queue_id, t.limit_key, t.shard_id, t.id limit 1) n
           where o.queue_id = p_queue and o.limit_key = k.key
        )
        select o.shard_id, h.cursor from one o
          cross join lateral (select g.cursor from pawl.shard g where g.id = o.shard_id offset 0) h
         where o.queue_id = p_queue and o.limit_key = k.key) s
      cross join lateral (
        select count(*)::int as tasks from (
          select r.queue_id, r.limit_key, r.shard_id from pawl.task r
           where r.state = 'ready' and r.limit_key is not null
             and (r.queue_id, r.limit_key, r.shard_id, r.seq) > (p_queue, k.key, s.shard_id, s.cursor)
           order by r.queue_id, r.limit_key, r.shard_id, r.seq limit k.room) c
         where c.queue_id = p_queue and c.limit_key = k.key and c.shard_id = s.shard_id) ready
      cross join lateral (
        select l.id, l.queue_id, l.limit_key, l.shard_id from pawl.task l
         where l.state = 'limited' and (l.queue_id, l.limit_key, l.shard_id, l.id) >= (p_queue, k.key, s.shard_id, 0)
         order by l.queue_id, l.limit_key, l.shard_id, l.id limit greatest(k.room - ready.tasks, 0)) t
     where k.room > 0 and t.queue_id = p_queue and t.limit_key = k.key and t.shard_id = s.shard_id);
  v_ids := array(select t.id from pawl.task t where t.id = any (v_ids) and t.state <> 'ready' and t.state <> 'scheduled' order by t.id
    for update skip locked);
  v_seqs := array(select nextval('pawl.seq') from generate_series(1, cardinality(v_ids)));
  update pawl.task t set state = 'ready', seq = v_seqs[array_position(v_ids, t.id)] where t.id = any (v_ids);
  get diagnostics v_admitted = row_count;
  return v_admitted;
end $$;

-- The same of keys of several queues, whose tasks have just made room.
create or replace function pawl.admit_keys(p_queues int[], p_keys text[]) returns void
language plpgsql volatile as $$
declare
  v_queue int;
  v_admitted int := 0;
begin
  if not exists (select 1 from pawl.task t where t.state = 'limited') then return; end if;
  foreach v_queue in array array(select distinct u.queue_id from unnest(p_queues) u (queue_id) order by 1) loop
    v_admitted := v_admitted + pawl.admit(v_queue,
      array(select u.key from unnest(p_queues, p_keys) u (queue_id, key) where u.queue_id = v_queue));
  end loop;
  if v_admitted > 0 then perform pawl.wake_v1(); end if;
end $$;

-- Brings back what its rate lets start now, and goes over all keys with tasks that were set aside, a part at a time: what made room
-- may not have seen them. One at a time; admitted is null if another one works. next_ms: how long until a rate lets the next one start.
create or replace function pawl.admit_v1(p_limit int, p_after_queue int, p_after_key text)
returns table (admitted int, after_queue int, after_key text, next_ms int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_queues int[];
  v_keys text[];
  v_due_queues int[];
  v_due_keys text[];
  v_queue int;
begin
  admitted := 0;
  perform pawl.forget_brief_paces(v_now - interval '1 minute', v_now); -- older ones: forget_paces_v1
  if not exists (select 1 from pawl.task t where t.state = 'limited')
     and not exists (select 1 from pawl.key_pace k where k.due_at is not null) then
    return next;
    return;
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('pawl.admit', 0::bigint)) then
    admitted := null;
    return next;
    return;
  end if;
  perform pawl.require_read_committed();
  -- if a crash undoes it, it is done again; a claim of the tasks is written after it
  perform set_config('synchronous_commit', 'off', true);
  with recursive one as (
    (select t.queue_id, t.limit_key, 1 as number from pawl.task t
      where t.state = 'limited' and (t.queue_id, t.limit_key) > (coalesce(p_after_queue, 0), coalesce(p_after_key, ''))
      order by t.queue_id, t.limit_key limit 1)
    union all
    select n.queue_id, n.limit_key, o.number + 1 from one o cross join lateral (
      select t.queue_id, t.limit_key from pawl.task t where t.state = 'limited' and (t.queue_id, t.limit_key) > (o.queue_id, o.limit_key)
       order by t.queue_id, t.limit_key limit 1) n
     where o.number < p_limit
  )
  select array_agg(o.queue_id order by o.number), array_agg(o.limit_key order by o.number) into v_queues, v_keys from one o;
  if cardinality(v_keys) = p_limit then
    after_queue := v_queues[p_limit];
    after_key := v_keys[p_limit];
  end if;
  select array_agg(d.queue_id), array_agg(d.key) into v_due_queues, v_due_keys
    from (select k.queue_id, k.key from pawl.key_pace k where k.due_at <= v_now order by k.due_at limit p_limit) d;
  v_queues := v_queues || v_due_queues;
  v_keys := v_keys || v_due_keys;
  foreach v_queue in array array(select distinct u.queue_id from unnest(v_queues) u (queue_id) order by 1) loop
    admitted := admitted + pawl.admit(v_queue, array(select distinct u.key from unnest(v_queues, v_keys) u (queue_id, key) where u.queue_id = v_queue));
  end loop;
  -- a claim of what is ready now writes the time anew; if none comes, it is looked at again
  with due as materialized (
    select o.queue_id, o.key, o.tat from unnest(v_due_queues, v_due_keys) u (queue_id, key)
      cross join lateral (
        select k.queue_id, k.key, k.tat from pawl.key_pace k where k.queue_id = u.queue_id and k.key = u.key and k.due_at <= v_now
          for update skip locked) o
  )
  -- no row is new: an update would join the table, and could read all of it
  insert into pawl.key_pace as k (queue_id, key, tat, due_at)
  select d.queue_id, d.key, d.tat,
         case when a.key is not null then greatest(v_now + interval '1 second', d.tat - (l.key_burst - 1) * l.key_gap) end
    from due d
    left join pawl.queue_limit l on l.queue_id = d.queue_id
    left join pawl.keys_set_aside(v_due_queues, v_due_keys) a on a.queue_id = d.queue_id and a.key = d.key
  on conflict (queue_id, key) do update set due_at = excluded.due_at;
  if admitted > 0 then perform pawl.wake_v1(); end if;
  next_ms := (select least(greatest(ceil(extract(epoch from k.due_at - pawl.now()) * 1000), 0), 2147483647)::int
    from pawl.key_pace k where k.due_at is not null order by k.due_at limit 1);
  return next;
end $$;

-- Forgets the pace of keys that have been quiet: a missing row says the same. Looks at p_limit of them, in the order of their keys, so that
-- what every start writes stays out of an index. after_key: where the next call goes on; null: that was all.
create or replace function pawl.forget_paces_v1(p_limit int, p_after_queue int, p_after_key text)
returns table (forgotten int, after_queue int, after_key text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_old timestamptz := pawl.now() - interval '1 minute';
  v_queues int[];
  v_keys text[];
  v_rows tid[]; -- for a join, the planner might read the whole table
begin
  perform pawl.forget_brief_paces('-infinity', pawl.now());
  select array_agg(n.queue_id order by n.queue_id, n.key), array_agg(n.key order by n.queue_id, n.key) into v_queues, v_keys from (
    select k.queue_id, k.key from pawl.key_pace k where (k.queue_id, k.key) > (coalesce(p_after_queue, 0), coalesce(p_after_key, ''))
     order by k.queue_id, k.key limit p_limit) n;
  v_rows := array(
    select o.ctid from unnest(v_queues, v_keys) u (queue_id, key)
      cross join lateral (
        select k.ctid from pawl.key_pace k
         where k.queue_id = u.queue_id and k.key = u.key and k.due_at is null and k.tat < v_old for update skip locked) o);
  delete from pawl.key_pace k where k.ctid = any (v_rows);
  get diagnostics forgotten = row_count;
  if cardinality(v_keys) = p_limit then
    after_queue := v_queues[p_limit];
    after_key := v_keys[p_limit];
  end if;
  return next;
end $$;

-- What a task that was set aside waits for.
create or replace function pawl.why_limited(p_task pawl.task, out until timestamptz, out detail jsonb)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_limit pawl.queue_limit;
  v_tat timestamptz;
begin
  select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_task.queue_id;
  select k.tat into v_tat from pawl.key_pace k where k.queue_id = p_task.queue_id and k.key = p_task.limit_key;
  if v_tat - (v_limit.key_burst - 1) * v_limit.key_gap > pawl.now() then until := v_tat - (v_limit.key_burst - 1) * v_limit.key_gap; end if;
  detail := jsonb_build_object('key', p_task.limit_key, 'limit', v_limit.key_concurrency,
    'rate', (select q.key_rate from pawl.queue q where q.id = p_task.queue_id),
    'running', (select count(*) from pawl.claim c cross join lateral unnest(c.seqs, c.limit_keys) u (seq, key)
        cross join lateral (select 1 from pawl.task r where r.state = 'ready' and r.shard_id = c.shard_id and r.seq = u.seq offset 0) t
       where c.queue_id = p_task.queue_id and u.key = p_task.limit_key),
    'before', (select count(*) from (select 1 from pawl.task t where t.state = 'limited'
         and (t.queue_id, t.limit_key, t.shard_id, t.id) >= (p_task.queue_id, p_task.limit_key, p_task.shard_id, 0)
         and (t.queue_id, t.limit_key, t.shard_id, t.id) < (p_task.queue_id, p_task.limit_key, p_task.shard_id, p_task.id) limit 10001) b));
end $$;
