-- Enqueue: one call for one task or many, in the caller's transaction.

-- Wakes idle workers. NOTIFY takes a database-wide lock at commit, so it is paid only when one said it is idle.
create function pawl.wake_v1() returns void
language sql volatile as $$
  select pg_notify('pawl.wake', '')
   where exists (select 1 from pawl.worker w where w.idle and w.ended_at is null)
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
  return v_stream;
end $$;

-- The shards that a task goes to; checks what the caller wrote.
create function pawl.target_of(p_kind text, p_queue text, p_version text, p_priority text) returns int[]
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
  return pawl.shards_of(
    pawl.stream_of(p_kind, p_queue, coalesce(p_version::int, 1)), coalesce(p_priority::int, 1), false);
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
      ('bad run_at', e.task ->> 'run_at', e.task ->> 'run_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$'),
      ('bad meta', e.task ->> 'meta', jsonb_typeof(e.task -> 'meta') in ('object', 'null'))) f (name, value, is_good)
   where not f.is_good order by e.place limit 1;
  if not found then return; end if;
  raise exception 'task %: %: %', v_place, v_field, left(v_value, 100) using errcode = 'PW010',
    hint = 'a task is an object; max_attempts is 1 to 32000, delay_ms a whole number of milliseconds, run_at a timestamp such as "2030-01-31T12:00:00Z", meta an object';
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

-- p_tasks: [{"kind", "payload", "queue"?, "version"?, "priority"? 0..3, "run_at"? | "delay_ms"?, "max_attempts"?, "meta"?, "ref"?}]
-- Answers one row a task, in order.
create function pawl.enqueue(p_tasks jsonb) returns table (id bigint, outcome text)
language plpgsql volatile as $$
declare
  v_now timestamptz := pawl.now();
begin
  if p_tasks is null or jsonb_typeof(p_tasks) <> 'array' then
    raise exception 'expected a JSON array of tasks, got %', coalesce(jsonb_typeof(p_tasks), 'null') using errcode = 'PW010',
      hint = 'call pawl.enqueue(''[{"kind": "send-email", "payload": {}}]'')';
  end if;
  perform pawl.check_tasks(p_tasks);
  perform pawl.check_payload_sizes(p_tasks, '{payload}');
  perform pg_current_xact_id(); -- before the first seq: the sweep's proof rests on it
  return query
  with input as materialized (
    select e.place, e.task ->> 'kind' as kind, e.task ->> 'queue' as queue,
           e.task ->> 'version' as version, e.task ->> 'priority' as priority,
           coalesce((e.task ->> 'run_at')::timestamptz,
                    v_now + (e.task ->> 'delay_ms')::bigint * interval '1 ms', v_now) as run_at,
           (e.task ->> 'max_attempts')::smallint as max_attempts,
           coalesce(e.task -> 'payload', 'null') as payload,
           nullif(e.task -> 'meta', 'null') as meta, e.task ->> 'ref' as ref,
           nextval('pawl.seq') as seq
      from jsonb_array_elements(p_tasks) with ordinality e (task, place)
  ), target as materialized (
    select d.kind, d.queue, d.version, d.priority,
           pawl.target_of(d.kind, d.queue, d.version, d.priority) as shards
      from (select distinct i.kind, i.queue, i.version, i.priority from input i) d
  ), inserted as (
    insert into pawl.task as t (shard_id, seq, state, run_at, created_at, max_attempts, payload, meta, ref)
    select g.shards[1 + i.seq % cardinality(g.shards)], i.seq,
           case when i.run_at > v_now then 'scheduled' else 'ready' end,
           i.run_at, v_now, i.max_attempts, i.payload, i.meta, i.ref
      from input i join target g
        on (g.kind, coalesce(g.queue, ''), coalesce(g.version, ''), coalesce(g.priority, ''))
         = (i.kind, coalesce(i.queue, ''), coalesce(i.version, ''), coalesce(i.priority, ''))
     order by i.place
    returning t.id, t.run_at
  )
  select n.id, 'created' from inserted n;
  perform pawl.wake_v1();
end $$;

-- The same for many tasks that differ only in their payloads: p_task as above without "payload", p_payloads an array.
-- What the typed API calls: with one target there is nothing to tell apart.
create function pawl.enqueue_many_v1(p_task jsonb, p_payloads jsonb) returns table (id bigint, outcome text)
language plpgsql volatile as $$
declare
  v_now timestamptz := pawl.now();
  v_run_at timestamptz;
  v_shards int[];
begin
  if jsonb_array_length(p_payloads) = 0 then return; end if;
  perform pawl.check_tasks(jsonb_build_array(p_task));
  v_run_at := coalesce((p_task ->> 'run_at')::timestamptz,
    v_now + (p_task ->> 'delay_ms')::bigint * interval '1 ms', v_now);
  perform pawl.check_payload_sizes(p_payloads, '{}');
  perform pg_current_xact_id(); -- before the first seq
  v_shards := pawl.target_of(p_task ->> 'kind', p_task ->> 'queue', p_task ->> 'version', p_task ->> 'priority');
  return query
  insert into pawl.task as t (shard_id, seq, state, run_at, created_at, max_attempts, payload, meta, ref)
  select v_shards[1 + p.seq % cardinality(v_shards)], p.seq,
         case when v_run_at > v_now then 'scheduled' else 'ready' end,
         v_run_at, v_now, (p_task ->> 'max_attempts')::smallint, p.payload, p_task -> 'meta', p_task ->> 'ref'
    from (select e.payload, nextval('pawl.seq') as seq from jsonb_array_elements(p_payloads) e (payload)) p
  returning t.id, 'created';
  perform pawl.wake_v1();
end $$;
