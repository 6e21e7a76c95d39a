-- Writes tasks, in the caller's transaction: one statement for one or many.

-- A key is unique in its queue for its kind. No kind holds a space, so no two pairs make the same key.
create or replace function pawl.full_key(p_kind text, p_key text) returns text
language sql immutable return p_kind || ' ' || p_key;

-- The live task that has a key; null: there is none.
create or replace function pawl.task_of_key(p_queue text, p_kind text, p_key text) returns bigint
language sql stable as $$
  select t.id from pawl.queue q join pawl.task t on t.queue_id = q.id and t.key = pawl.full_key(p_kind, p_key) where q.name = p_queue
$$;

-- p_tasks: [{"kind", "payload", "queue"?, "version"?, "priority"? 0..3, "run_at"? | "delay_ms"?, "expires_at"? | "ttl_ms"?,
--   "max_attempts"?, "lane"?, "key"?, "unique"?: see pawl.put_unique_tasks, "after"?, "on_dead"?: see pawl.check_after, "limit_key"?, "meta"?, "ref"?}]
-- p_checked: the fields to check for size and depth; a part leaves out what it takes from rows that were checked before.
-- Returns one row per task, in order: created, or duplicate with the id of the live task that has the key; with "unique", also replaced or debounced.
create or replace function pawl.put_tasks(p_tasks jsonb, p_is_part boolean, p_checked text[] default '{payload,meta}') returns table (id bigint, outcome text)
language plpgsql volatile
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  v_now timestamptz := pawl.now();
  v_ids bigint[];
  v_outcomes text[];
  v_queues int[];
  v_keys text[];
  v_streams int[];
  v_place int;
  v_other bigint;
  v_outcome text;
begin
  perform pawl.check_tasks(p_tasks);
  if p_tasks @? '$[*].unique' or p_tasks @? '$[*].after' or p_tasks @? '$[*].on_dead' then return query select * from pawl.put_special_tasks(p_tasks, p_is_part, p_checked); return; end if;
  if p_checked <> '{}' then perform pawl.check_payloads(p_tasks, p_checked); end if;
  perform pg_current_xact_id(); -- before the first seq: the sweep's proof rests on it
  with input as materialized (
    select e.place, e.task ->> 'kind' as kind, e.task ->> 'queue' as queue,
           e.task ->> 'version' as version, e.task ->> 'priority' as priority,
           coalesce((e.task ->> 'run_at')::timestamptz,
                    v_now + (e.task ->> 'delay_ms')::bigint * interval '1 ms', v_now) as run_at,
           coalesce((e.task ->> 'expires_at')::timestamptz,
                    v_now + (e.task ->> 'ttl_ms')::bigint * interval '1 ms') as expires_at,
           (e.task ->> 'max_attempts')::smallint as max_attempts,
           coalesce(e.task -> 'payload', 'null') as payload,
           nullif(e.task -> 'meta', 'null') as meta, e.task ->> 'ref' as ref, e.task ->> 'lane' as lane, e.task ->> 'limit_key' as limit_key,
           pawl.full_key(e.task ->> 'kind', e.task ->> 'key') as key,
           nextval('pawl.task_id_seq') as id, nextval('pawl.seq') as seq
      from jsonb_array_elements(p_tasks) with ordinality e (task, place)
  ), target as materialized (
    select d.kind, d.queue, d.version, d.priority, g.stream_id, g.queue_id, g.shards
      from (select distinct i.kind, i.queue, i.version, i.priority from input i) d
      cross join lateral pawl.target_of(d.kind, d.queue, d.version, d.priority, p_is_part) g
  ), placed as materialized (
    select i.*, g.queue_id, g.shards[1 + i.seq % cardinality(g.shards)] as shard_id
      from input i join target g
        on (g.kind, coalesce(g.queue, ''), coalesce(g.version, ''), coalesce(g.priority, ''))
         = (i.kind, coalesce(i.queue, ''), coalesce(i.version, ''), coalesce(i.priority, ''))
  ), queued as materialized ( -- limit keys of which others wait already: what comes goes behind them
    select a.* from pawl.keys_set_aside((select array_agg(p.queue_id) from placed p), (select array_agg(p.limit_key) from placed p)) a
  ), inserted as (
    -- ordered by key, as the typed API orders those of several calls: who has the same keys locks them in the same order
    insert into pawl.task as t (id, shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts, payload, meta, ref, lane, key, limit_key)
    select p.id, p.shard_id, p.queue_id, p.seq,
           case when p.lane is not null then 'arrived' when p.run_at > v_now then 'scheduled'
                when (p.queue_id, p.limit_key) in (select a.queue_id, a.key from queued a) then 'limited' else 'ready' end,
           p.run_at, v_now, p.expires_at, p.max_attempts, p.payload, p.meta, p.ref, p.lane, p.key, p.limit_key
      from placed p order by p.key collate "C" nulls first, p.place
    on conflict (queue_id, key) where key is not null do nothing
    returning t.id
  )
  -- grouped, not joined: the planner expects one row and would compare each with each
  select array_agg(g.id order by g.place),
         array_agg(case when g.is_created then 'created' else 'duplicate' end order by g.place),
         array_agg(g.queue_id order by g.place), array_agg(g.key order by g.place),
         (select array_agg(d.stream_id) from target d)
    into v_ids, v_outcomes, v_queues, v_keys, v_streams
    from (select r.id, max(r.place) as place, bool_or(r.is_created) as is_created, max(r.queue_id) as queue_id, max(r.key) as key
            from (select p.id, p.place, false as is_created, p.queue_id, p.key from placed p
                  union all select n.id, null, true, null, null from inserted n) r
           group by r.id) g;
  for v_place, v_other in -- each once: there may be 100,000
    select u.place, (select t.id from pawl.task t where t.queue_id = u.queue_id and t.key = u.key)
      from unnest(v_outcomes, v_queues, v_keys) with ordinality u (outcome, queue_id, key, place) where u.outcome = 'duplicate'
  loop
    if v_other is null then -- it has ended in the meantime
      select e.id, e.outcome into v_other, v_outcome
        from pawl.put_tasks(jsonb_build_array(p_tasks -> (v_place - 1)), p_is_part, p_checked) e;
      v_outcomes[v_place] := v_outcome;
    end if;
    v_ids[v_place] := v_other;
  end loop;
  return query select u.id, u.outcome from unnest(v_ids, v_outcomes) with ordinality u (id, outcome, place) order by u.place;
  perform pawl.wake_v1(v_streams);
end $$;
