-- Changes to tasks that nobody runs: ending, cancelling, expiring, moving in time and priority; and retention.

-- Ends tasks: to history with this outcome; what has expired to the dead letters, where the queue says so. The caller
-- holds them, and none of them runs.
create function pawl.finish_v1(p_ids bigint[], p_outcome text, p_error jsonb) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_queues int[];
  v_lanes text[];
  v_dead bigint[];
begin
  with gone as (
    delete from pawl.task t using pawl.shard s, pawl.queue q where t.id = any (p_ids) and s.id = t.shard_id and q.id = t.queue_id
    returning t.*, s.stream_id, s.priority, p_outcome = 'expired' and q.expired_is_dead as is_dead
  ), buried as (
    insert into pawl.dead (id, seq, stream_id, priority, attempt, max_attempts, crashes, reason, created_at, run_at, died_at,
      expires_at, payload, meta, ref, lane, key, error)
    select g.id, g.seq, g.stream_id, g.priority, g.attempt, g.max_attempts, g.crashes, p_outcome, g.created_at, g.run_at,
           pawl.now(), g.expires_at, g.payload, g.meta, g.ref, g.lane, g.key, coalesce(p_error, g.last_error)
      from gone g where g.is_dead
  ), kept as (
    insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload,
      meta, ref, lane, key, error)
    select g.id, g.seq, g.stream_id, g.priority, g.attempt, p_outcome, g.created_at, g.run_at, pawl.now(), g.payload,
           g.meta, g.ref, g.lane, g.key, coalesce(p_error, g.last_error) from gone g
     where not g.is_dead
  )
  select array_agg(g.queue_id) filter (where g.lane is not null and g.state in ('ready', 'scheduled', 'blocked')),
         array_agg(g.lane) filter (where g.lane is not null and g.state in ('ready', 'scheduled', 'blocked')),
         array_agg(g.id) filter (where g.is_dead)
    into v_queues, v_lanes, v_dead from gone g;
  if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
  if v_dead is not null then perform pawl.announce_dead_v1(v_dead); end if;
end $$;

-- Takes live tasks so that no claim of them can start until the transaction ends, and says which run already.
-- Shards first, then tasks, those that wait in a lane last: so nobody who settles a head is waited for in a circle.
-- A task that was moved to another shard in between is left out: the caller asks again for it.
create function pawl.take_tasks_v1(p_ids bigint[]) returns table (id bigint, state text, is_running boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_shards int[];
begin
  perform pawl.require_read_committed();
  select array_agg(l.id) into v_shards from (
    select s.id from pawl.shard s where s.id in (select t.shard_id from pawl.task t where t.id = any (p_ids))
     order by s.id for update) l;
  return query
  with claimed as materialized (
    select c.shard_id, u.seq from pawl.claim c cross join lateral unnest(c.seqs) u (seq) where c.shard_id = any (v_shards)
  ), mine as materialized (
    select t.id, t.state, t.shard_id, t.seq from pawl.task t
     where t.id = any (p_ids) and t.shard_id = any (v_shards) and t.state <> 'blocked'
     order by (t.state in ('arrived', 'waiting')), t.id for update
  )
  select m.id, m.state, c.seq is not null from mine m
    left join claimed c on m.state = 'ready' and c.shard_id = m.shard_id and c.seq = m.seq;
end $$;

-- Which of these still live, apart from those that were taken: they moved to another shard at that moment.
create function pawl.still_live(p_ids bigint[], p_taken bigint[]) returns bigint[]
language sql volatile as $$
  select array(select t.id from pawl.task t
    where t.id = any (p_ids) and t.state <> 'blocked' and not t.id = any (coalesce(p_taken, '{}')))
$$;

-- Cancels live tasks: what waits ends at once (cancelled), what runs is asked to (requested): its signal aborts, and it
-- is cancelled unless it still ends well. Answers a row for each that was live.
create function pawl.cancel_v1(p_ids bigint[], p_by text, p_why text) returns table (id bigint, outcome text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_left bigint[] := p_ids;
  v_waiting bigint[];
  v_running bigint[];
  v_error jsonb := jsonb_build_object('name', 'Cancelled', 'message', 'cancelled by ' || coalesce(nullif(p_by, ''), current_user)
    || coalesce(': ' || nullif(p_why, ''), ''));
begin
  loop
    select array_agg(t.id) filter (where not t.is_running), array_agg(t.id) filter (where t.is_running)
      into v_waiting, v_running from pawl.take_tasks_v1(v_left) t;
    if v_waiting is not null then perform pawl.finish_v1(v_waiting, 'cancelled', v_error); end if;
    update pawl.task t set cancel_requested_at = coalesce(t.cancel_requested_at, pawl.now()), last_error = v_error
     where t.id = any (v_running);
    perform pawl.audit_v1(p_by, 'cancel', 'task:' || u.id, p_why, null) from unnest(v_waiting || v_running) u (id);
    return query
    select u.id, 'cancelled' from unnest(v_waiting) u (id) union all select u.id, 'requested' from unnest(v_running) u (id);
    v_left := pawl.still_live(v_left, v_waiting || v_running);
    exit when v_left = '{}';
  end loop;
  perform pg_notify('pawl.wake', 'cancel');
end $$;

-- Moves live tasks in time or priority; null leaves as it is. Answers a row for each that was live: changed, or running,
-- which is too late. What waits in a lane keeps its place there.
create function pawl.change_tasks_v1(p_ids bigint[], p_run_at timestamptz, p_priority int, p_by text, p_why text)
returns table (id bigint, outcome text)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_left bigint[] := p_ids;
  v_waiting bigint[];
  v_running bigint[];
begin
  if p_priority not between 0 and 3 then
    raise exception 'expected the priority to be 0, 1, 2 or 3, got %', p_priority using errcode = 'PW010',
      hint = '0 runs first, 1 is the default';
  end if;
  perform pg_current_xact_id(); -- before the first seq
  loop
    select array_agg(t.id) filter (where not t.is_running), array_agg(t.id) filter (where t.is_running)
      into v_waiting, v_running from pawl.take_tasks_v1(v_left) t;
    update pawl.task t
       set run_at = coalesce(p_run_at, t.run_at), seq = nextval('pawl.seq'),
           state = case when t.state in ('arrived', 'waiting') then t.state
                        when coalesce(p_run_at, t.run_at) > v_now then 'scheduled' else 'ready' end,
           shard_id = case when p_priority is null or p_priority = s.priority then t.shard_id
                           else (pawl.shards_of(s.stream_id, p_priority, s.solo))[1] end
      from pawl.shard s where s.id = t.shard_id and t.id = any (v_waiting);
    perform pawl.audit_v1(p_by, 'change', 'task:' || u.id, p_why, jsonb_build_object('run_at', p_run_at, 'priority', p_priority))
       from unnest(v_waiting) u (id);
    return query
    select u.id, 'changed' from unnest(v_waiting) u (id) union all select u.id, 'running' from unnest(v_running) u (id);
    v_left := pawl.still_live(v_left, v_waiting || v_running);
    exit when v_left = '{}';
  end loop;
  perform pawl.wake_v1();
end $$;

-- Ends what has expired and does not run. Exact is the claim, which starts nothing that has expired; this one only
-- keeps them from lying about. Never waits for a claim that is being made.
create function pawl.expire_v1(p_limit int) returns int
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := pawl.now();
  v_seen int;
  v_shards int[];
  v_ids bigint[];
begin
  if not exists (select 1 from pawl.task t where t.expires_at <= v_now) then return 0; end if;
  -- what runs may have expired too, and is passed over
  v_seen := p_limit + coalesce((select sum(cardinality(c.seqs)) from pawl.claim c), 0);
  select array_agg(l.id) into v_shards from (
    select s.id from pawl.shard s where s.id in (select e.shard_id from (
      select t.shard_id from pawl.task t where t.expires_at <= v_now order by t.expires_at limit v_seen) e)
     order by s.id for update skip locked) l;
  with claimed as materialized (
    select c.shard_id, u.seq from pawl.claim c cross join lateral unnest(c.seqs) u (seq) where c.shard_id = any (v_shards)
  ), due as materialized (
    select e.id from (
      select t.id, t.shard_id, t.seq, t.state from pawl.task t where t.expires_at <= v_now order by t.expires_at limit v_seen) e
      left join claimed c on e.state = 'ready' and c.shard_id = e.shard_id and c.seq = e.seq
     where c.seq is null and e.shard_id = any (v_shards) limit p_limit
  ), mine as (
    select t.id from due d join pawl.task t on t.id = d.id
     where t.expires_at <= v_now and t.shard_id = any (v_shards) for update of t skip locked
  )
  select array_agg(m.id) into v_ids from mine m;
  if v_ids is null then return 0; end if;
  perform pawl.finish_v1(v_ids, 'expired', null);
  return cardinality(v_ids);
end $$;

-- How long history keeps a task, unless its queue says otherwise.
create function pawl.default_keep() returns jsonb
language sql immutable as $$
  select '{"done_ms": 604800000, "cancelled_ms": 2592000000, "expired_ms": 2592000000, "removed_ms": 2592000000}'::jsonb
$$;

create function pawl.keep_rules() returns table (stream_id int, outcome text, keep interval)
language sql stable as $$
  select st.id, o.outcome, ((pawl.default_keep() || coalesce(jsonb_strip_nulls(q.keep), '{}')) ->> (o.outcome || '_ms'))::bigint * interval '1 ms'
    from pawl.stream st join pawl.queue q on q.id = st.queue_id
    cross join (values ('done'), ('cancelled'), ('expired'), ('removed')) o (outcome)
$$;

-- The partitions of history and what retention does with each: drop one that lies before the longest of all times,
-- delete from one in which a time of some queue ends about now, or, if p_is_thorough, ended before. Attempts go with
-- the longest.
create function pawl.prune_plan_v1(p_is_thorough boolean) returns table (partition text, action text, before timestamptz, pages int)
language plpgsql volatile as $$
declare
  v_longest timestamptz := pawl.now() - (select coalesce(max(k.keep), interval '30 days') from pawl.keep_rules() k);
begin
  return query
  select p.name, case when p.ends <= v_longest then 'drop' else 'delete' end, p.ends,
         (pg_relation_size(p.oid) / current_setting('block_size')::int)::int
    from (select d.*, d.starts + interval '24 hours' as ends
            from (select c.oid, c.relname::text as name, i.inhparent = to_regclass('pawl.finished') as is_finished,
                         to_date(substring(c.relname from '_(\d{8})$'), 'YYYYMMDD')::timestamp at time zone 'UTC' as starts
                    from pg_inherits i join pg_class c on c.oid = i.inhrelid
                   where i.inhparent in (to_regclass('pawl.finished'), to_regclass('pawl.attempt'))) d) p
   where p.ends <= v_longest
      or (p.is_finished and pg_relation_size(p.oid) > 0 and (p.starts is null or exists (
        select 1 from pawl.keep_rules() k
         where p.starts + k.keep < pawl.now() and (p_is_thorough or pawl.now() < p.ends + k.keep + interval '2 days'))))
   order by p.ends nulls last, p.name;
end $$;

-- Drops a partition; gives up after 2 s behind a long query, and is tried again next time.
create function pawl.drop_partition_v1(p_partition text) returns void
language plpgsql volatile
set lock_timeout = '2s' as $$
begin
  if p_partition !~ '^(finished|attempt)_\d{8}$' then
    raise exception 'no partition of history: "%"', left(p_partition, 100) using errcode = 'PW010', hint = 'see pawl prune --dry-run';
  end if;
  execute format('drop table if exists pawl.%I', p_partition);
end $$;

-- Rows of these pages of a partition that are past their time: deleted, or only counted.
create function pawl.prune_rows_v1(p_partition text, p_page int, p_pages int, p_is_dry boolean) returns int
language plpgsql volatile
set jit = off as $$
declare
  v_count int;
begin
  if p_partition !~ '^finished_(\d{8}|default)$' then
    raise exception 'no partition of history: "%"', left(p_partition, 100) using errcode = 'PW010', hint = 'see pawl prune --dry-run';
  end if;
  if p_is_dry then
    execute format('select count(*) from pawl.%I f join pawl.keep_rules() k on k.stream_id = f.stream_id and k.outcome = f.outcome
       where f.ctid >= %L and f.ctid < %L and f.finished_at < pawl.now() - k.keep',
      p_partition, format('(%s,0)', p_page), format('(%s,0)', p_page + p_pages)) into v_count;
  else
    execute format('delete from pawl.%I f using pawl.keep_rules() k where k.stream_id = f.stream_id and k.outcome = f.outcome
       and f.ctid >= %L and f.ctid < %L and f.finished_at < pawl.now() - k.keep',
      p_partition, format('(%s,0)', p_page), format('(%s,0)', p_page + p_pages));
    get diagnostics v_count = row_count;
  end if;
  return v_count;
end $$;

-- What is small and needs no partitions: workers that ended, minutes of rates, switches whose end has passed, and
-- attempts that a moved clock left in no partition.
create function pawl.tidy_v1() returns void
language sql volatile as $$
  delete from pawl.worker w where w.ended_at < pawl.now() - interval '7 days'
     and not exists (select 1 from pawl.claim c where c.worker_id = w.id);
  delete from pawl.tally y where y.minute < pawl.now() - interval '1 day';
  delete from pawl.switch w where w.until < pawl.now();
  delete from pawl.attempt_default a
   where a.ended_at < pawl.now() - (select coalesce(max(k.keep), interval '30 days') from pawl.keep_rules() k);
$$;

-- Claims one task, due or not, for this worker alone: claimed, with what a turn answers, or why not: running, held (by the
-- gate; detail says by what) or busy (ask again). No row: it does not live, or waits in a lane. It moves to the solo
-- shard of its priority, and the cursor there over it; what else is ready there is found by the sweep. A failed attempt
-- brings it back to where its kind lies. Locks as who changes tasks, then the gate; limits and the solo shard are not waited for.
create function pawl.claim_one_v1(p_worker int, p_claim bigint, p_id bigint)
returns table (outcome text, detail jsonb, stream_id int, shard_id int, id bigint, seq bigint, attempt smallint, payload jsonb,
  meta jsonb, ref text, created_at timestamptz, is_expired boolean, is_laned boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_from pawl.shard;
  v_solo pawl.shard;
  v_task pawl.task;
  v_is_running boolean;
  v_starts int;
  v_at timestamptz;
begin
  perform pawl.require_lease(p_worker);
  perform pg_current_xact_id(); -- before the seq
  select k.is_running into v_is_running from pawl.take_tasks_v1(array[p_id]) k where k.state in ('ready', 'scheduled');
  if not found then return; end if;
  select t.* into v_task from pawl.task t where t.id = p_id;
  select s.* into v_from from pawl.shard s where s.id = v_task.shard_id;
  stream_id := v_from.stream_id;
  outcome := 'running';
  if v_is_running then return next; return; end if;
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  select to_jsonb(g) into detail from pawl.gate_v1(array[v_from.stream_id]) g order by g.reason <> 'off' limit 1;
  outcome := 'held';
  if found then return next; return; end if;
  outcome := 'busy';
  v_at := pawl.clock_now();
  if pawl.are_limits() then
    select a.starts, coalesce(a.at, v_at) into v_starts, v_at from pawl.allowed_starts(v_from.queue_id, v_from.stream_id, 1, false) a;
    if coalesce(v_starts, 0) <= 0 then return next; return; end if;
  end if;
  select s.* into v_solo from pawl.shard s
   where s.id = (pawl.shards_of(v_from.stream_id, v_from.priority, true))[1] for update skip locked;
  if not found then return next; return; end if;
  update pawl.task t set shard_id = v_solo.id, seq = nextval('pawl.seq'), state = 'ready', run_at = least(t.run_at, v_at)
   where t.id = p_id returning t.* into v_task;
  update pawl.shard s set cursor = greatest(s.cursor, v_task.seq), is_used = true where s.id = v_solo.id;
  insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs)
  values (p_worker, p_claim, v_solo.id, v_solo.stream_id, v_solo.queue_id, v_solo.priority, true, pawl.clock_now(), array[v_task.seq]);
  perform pawl.count_starts(v_solo.queue_id, 1, v_at);
  return query
  select 'claimed', null::jsonb, v_solo.stream_id, v_solo.id, v_task.id, v_task.seq, v_task.attempt, v_task.payload, v_task.meta,
         v_task.ref, v_task.created_at, coalesce(v_task.expires_at <= v_at, false), v_task.lane is not null;
end $$;
