-- Enqueue: one call for one task or many, in the caller's transaction.

-- Whoever changes tasks must see, in each statement, what has been committed by then.
create function pawl.require_read_committed() returns void
language plpgsql stable as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'this must run in READ COMMITTED, the transaction is in %', upper(current_setting('transaction_isolation'))
      using errcode = 'PW010', hint = 'begin the transaction with "isolation level read committed", or set default_transaction_isolation of the role or database';
  end if;
end $$;

-- Wakes idle workers. NOTIFY takes a database-wide lock at commit, so it is paid only when one said it is idle and, where
-- streams are given, can run one of them.
create function pawl.wake_v1(p_streams int[] default null) returns void
language sql volatile as $$
  select pg_notify('pawl.wake', '')
   where exists (select 1 from pawl.worker w
     where w.idle and w.ended_at is null and (p_streams is null or w.streams && p_streams))
$$;

-- The stream of a kind: the one named, or the newest definition; made when the queue is known but the kind is not.
create function pawl.stream_of(p_kind text, p_queue text, p_version int) returns int
language plpgsql volatile as $$
declare
  v_stream int;
  v_queue int;
begin
  if p_kind is null or p_kind = '' then
    raise exception 'task without a kind' using errcode = 'PW010',
      hint = 'give each task a "kind", the name of a job';
  end if;
  select st.id into v_stream from pawl.stream st join pawl.queue q on q.id = st.queue_id
   where st.kind = p_kind and st.version = p_version and (q.name = p_queue or p_queue is null)
     and (p_queue is not null or st.defined_at is not null)
   order by st.defined_at desc nulls last limit 1;
  if found then return v_stream; end if;
  if p_queue is null then
    raise exception 'unknown kind "%"', p_kind using errcode = 'PW011',
      hint = 'start a worker that defines it, or give the task a "queue" to wait in';
  end if;
  select q.id into v_queue from pawl.queue q where q.name = p_queue;
  if not found then
    raise exception 'unknown queue "%"', p_queue using errcode = 'PW013',
      hint = coalesce('known: ' || (select string_agg(q.name, ', ' order by q.name) from pawl.queue q), 'no queue is defined yet: start a worker');
  end if;
  insert into pawl.stream (queue_id, kind, version) values (v_queue, p_kind, p_version)
  on conflict do nothing;
  select st.id into v_stream from pawl.stream st
   where st.kind = p_kind and st.queue_id = v_queue and st.version = p_version;
  perform pawl.make_shards(v_stream);
  return v_stream;
end $$;

-- The stream, the queue and the shards that a task goes to; checks what the caller wrote.
create function pawl.target_of(p_kind text, p_queue text, p_version text, p_priority text,
  out stream_id int, out queue_id int, out shards int[])
language plpgsql volatile as $$
begin
  if p_priority !~ '^[0-3]$' then
    raise exception 'expected `priority` of kind "%" to be 0, 1, 2 or 3, got %', p_kind, p_priority
      using errcode = 'PW010', hint = '0 runs first, 1 is the default';
  end if;
  if p_version !~ '^[1-9][0-9]{0,8}$' then
    raise exception 'expected `version` of kind "%" to be a whole number from 1, got %', p_kind, p_version
      using errcode = 'PW010', hint = 'leave it out for version 1';
  end if;
  stream_id := pawl.stream_of(p_kind, p_queue, coalesce(p_version::int, 1));
  select st.queue_id into queue_id from pawl.stream st where st.id = stream_id;
  shards := pawl.shards_of(stream_id, coalesce(p_priority::int, 1), false);
end $$;

-- Refuses fields that cannot be meant, before anything is written.
create function pawl.check_tasks(p_tasks jsonb) returns void
language plpgsql stable as $$
declare
  v_place bigint;
  v_field text;
  v_value text;
begin
  select e.place, f.name, f.value into v_place, v_field, v_value
    from jsonb_array_elements(p_tasks) with ordinality e (task, place)
    cross join lateral (values
      ('no object', e.task::text, jsonb_typeof(e.task) = 'object'),
      ('bad max_attempts', e.task ->> 'max_attempts', e.task ->> 'max_attempts' ~ '^([1-9][0-9]{0,3}|[12][0-9]{4}|3[01][0-9]{3}|32000)$'),
      ('bad delay_ms', e.task ->> 'delay_ms', e.task ->> 'delay_ms' ~ '^[0-9]{1,13}$'),
      ('bad ttl_ms', e.task ->> 'ttl_ms', e.task ->> 'ttl_ms' ~ '^[0-9]{1,13}$'),
      ('bad run_at', e.task ->> 'run_at', e.task ->> 'run_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$'),
      ('bad expires_at', e.task ->> 'expires_at', e.task ->> 'expires_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$'),
      ('bad lane', e.task ->> 'lane', length(e.task ->> 'lane') between 1 and 200),
      ('bad key', e.task ->> 'key', length(e.task ->> 'key') between 1 and 500),
      ('bad meta', e.task ->> 'meta', jsonb_typeof(e.task -> 'meta') in ('object', 'null'))) f (name, value, is_good)
   where not f.is_good order by e.place limit 1;
  if not found then return; end if;
  raise exception 'task %: %: %', v_place, v_field, left(v_value, 100) using errcode = 'PW010',
    hint = 'a task is an object; max_attempts is 1 to 32000, delay_ms and ttl_ms are whole milliseconds, run_at and expires_at timestamps such as "2030-01-31T12:00:00Z", meta an object, a lane has 1 to 200 characters, a key 1 to 500';
end $$;

-- Refuses a payload that is larger than the limit. Looks at each only when all together might be.
create function pawl.check_payload_sizes(p_payloads jsonb, p_path text[]) returns void
language plpgsql stable as $$
declare
  v_limit bigint;
  v_place bigint;
  v_bytes bigint;
begin
  select (s.value #>> '{}')::bigint into v_limit from pawl.setting s where s.name = 'payload_bytes_max';
  if pg_column_size(p_payloads) <= v_limit / 2 then return; end if;
  select e.place, octet_length((e.task #> p_path)::text) into v_place, v_bytes
    from jsonb_array_elements(p_payloads) with ordinality e (task, place)
   where octet_length((e.task #> p_path)::text) > v_limit order by e.place limit 1;
  if found then
    raise exception 'payload of task % is % bytes, the limit is %', v_place, v_bytes, v_limit using errcode = 'PW012',
      hint = 'store the data elsewhere and enqueue a reference to it, or raise maxPayloadBytes';
  end if;
end $$;

-- A key is unique in its queue for its kind.
create function pawl.full_key(p_kind text, p_key text) returns text
language sql immutable as $$ select p_kind || ' ' || p_key $$;

-- p_tasks: [{"kind", "payload", "queue"?, "version"?, "priority"? 0..3, "run_at"? | "delay_ms"?, "expires_at"? | "ttl_ms"?,
--   "max_attempts"?, "lane"?, "key"?, "meta"?, "ref"?}]
-- Answers one row a task, in order: created, or duplicate with the id of the live task that has the key.
create function pawl.enqueue(p_tasks jsonb) returns table (id bigint, outcome text)
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
  if p_tasks is null or jsonb_typeof(p_tasks) <> 'array' then
    raise exception 'expected a JSON array of tasks, got %', coalesce(jsonb_typeof(p_tasks), 'null') using errcode = 'PW010',
      hint = 'call pawl.enqueue(''[{"kind": "send-email", "payload": {}}]'')';
  end if;
  perform pawl.check_tasks(p_tasks);
  perform pawl.check_payload_sizes(p_tasks, '{payload}');
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
           nullif(e.task -> 'meta', 'null') as meta, e.task ->> 'ref' as ref, e.task ->> 'lane' as lane,
           pawl.full_key(e.task ->> 'kind', e.task ->> 'key') as key,
           nextval('pawl.task_id_seq') as id, nextval('pawl.seq') as seq
      from jsonb_array_elements(p_tasks) with ordinality e (task, place)
  ), target as materialized (
    select d.kind, d.queue, d.version, d.priority, g.stream_id, g.queue_id, g.shards
      from (select distinct i.kind, i.queue, i.version, i.priority from input i) d
      cross join lateral pawl.target_of(d.kind, d.queue, d.version, d.priority) g
  ), placed as materialized (
    select i.*, g.queue_id, g.shards[1 + i.seq % cardinality(g.shards)] as shard_id
      from input i join target g
        on (g.kind, coalesce(g.queue, ''), coalesce(g.version, ''), coalesce(g.priority, ''))
         = (i.kind, coalesce(i.queue, ''), coalesce(i.version, ''), coalesce(i.priority, ''))
  ), inserted as (
    -- by key: two calls with the same keys wait for each other in one order
    insert into pawl.task as t (id, shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts,
      payload, meta, ref, lane, key)
    select p.id, p.shard_id, p.queue_id, p.seq,
           case when p.lane is not null then 'arrived' when p.run_at > v_now then 'scheduled' else 'ready' end,
           p.run_at, v_now, p.expires_at, p.max_attempts, p.payload, p.meta, p.ref, p.lane, p.key
      from placed p order by p.key nulls first, p.place
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
  while 'duplicate' = any (v_outcomes) loop
    v_place := array_position(v_outcomes, 'duplicate');
    select t.id into v_other from pawl.task t where t.queue_id = v_queues[v_place] and t.key = v_keys[v_place];
    v_outcome := 'duplicate of';
    if not found then -- it has ended in the meantime
      select e.id, case e.outcome when 'created' then 'created' else 'duplicate of' end into v_other, v_outcome
        from pawl.enqueue(jsonb_build_array(p_tasks -> (v_place - 1))) e;
    end if;
    v_ids[v_place] := v_other;
    v_outcomes[v_place] := v_outcome;
  end loop;
  return query
  select u.id, case u.outcome when 'duplicate of' then 'duplicate' else u.outcome end
    from unnest(v_ids, v_outcomes) with ordinality u (id, outcome, place) order by u.place;
  perform pawl.wake_v1(v_streams);
end $$;

-- The same for many tasks that differ only in their payloads: p_task as above without "payload", p_payloads an array.
-- What the typed API calls for tasks without key and lane: with one target there is nothing to tell apart.
create function pawl.enqueue_many_v1(p_task jsonb, p_payloads jsonb) returns table (id bigint, outcome text)
language plpgsql volatile as $$
declare
  v_now timestamptz := pawl.now();
  v_run_at timestamptz;
  v_expires_at timestamptz;
  v_stream int;
  v_queue int;
  v_shards int[];
begin
  if jsonb_array_length(p_payloads) = 0 then return; end if;
  perform pawl.check_tasks(jsonb_build_array(p_task));
  v_run_at := coalesce((p_task ->> 'run_at')::timestamptz,
    v_now + (p_task ->> 'delay_ms')::bigint * interval '1 ms', v_now);
  v_expires_at := coalesce((p_task ->> 'expires_at')::timestamptz,
    v_now + (p_task ->> 'ttl_ms')::bigint * interval '1 ms');
  perform pawl.check_payload_sizes(p_payloads, '{}');
  perform pg_current_xact_id(); -- before the first seq
  select g.stream_id, g.queue_id, g.shards into v_stream, v_queue, v_shards
    from pawl.target_of(p_task ->> 'kind', p_task ->> 'queue', p_task ->> 'version', p_task ->> 'priority') g;
  return query
  insert into pawl.task as t (shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts, payload, meta, ref)
  select v_shards[1 + p.seq % cardinality(v_shards)], v_queue, p.seq,
         case when v_run_at > v_now then 'scheduled' else 'ready' end,
         v_run_at, v_now, v_expires_at, (p_task ->> 'max_attempts')::smallint, p.payload, p_task -> 'meta', p_task ->> 'ref'
    from (select e.payload, nextval('pawl.seq') as seq from jsonb_array_elements(p_payloads) e (payload)) p
  returning t.id, 'created';
  perform pawl.wake_v1(array[v_stream]);
end $$;
