-- Queues and streams as the fleet's code defines them.

-- The time between two starts at the full rate; rounded up to a microsecond, so that a rate is never exceeded.
create or replace function pawl.gap_of(p_rate jsonb) returns interval
language sql immutable
return ceil((p_rate ->> 'per_ms')::numeric * 1000 / (p_rate ->> 'limit')::numeric)::float8 * interval '1 microsecond';

create or replace function pawl.is_limited(p_queue pawl.queue) returns boolean
language sql immutable
return p_queue.concurrency is not null or p_queue.kind_concurrency is not null or p_queue.key_concurrency is not null
  or coalesce(jsonb_typeof(p_queue.rate) = 'object', false) or coalesce(jsonb_typeof(p_queue.kind_rate) = 'object', false)
  or coalesce(jsonb_typeof(p_queue.key_rate) = 'object', false);

-- Writes queue_limit from the queues, and holds all its rows.
create or replace function pawl.set_limits() returns void
language sql volatile as $$
  insert into pawl.queue_limit as l (queue_id, concurrency, kind_concurrency, gap, burst, kind_gap, kind_burst, key_concurrency, key_gap, key_burst,
    paced_until)
  select q.id, q.concurrency, q.kind_concurrency, pawl.gap_of(q.rate), (q.rate ->> 'burst')::int, pawl.gap_of(q.kind_rate),
         (q.kind_rate ->> 'burst')::int, q.key_concurrency,
         pawl.gap_of(q.key_rate), (q.key_rate ->> 'burst')::int,
         coalesce((select max(k.tat) from pawl.key_pace k where k.queue_id = q.id
             and not exists (select 1 from pawl.queue_limit l where l.queue_id = q.id)), '-infinity')
    from pawl.queue q where pawl.is_limited(q) order by q.id
  on conflict (queue_id) do update
     set concurrency = excluded.concurrency, kind_concurrency = excluded.kind_concurrency, gap = excluded.gap, burst = excluded.burst,
         kind_gap = excluded.kind_gap, kind_burst = excluded.kind_burst, key_concurrency = excluded.key_concurrency, key_gap = excluded.key_gap, key_burst = excluded.key_burst
   where (l.concurrency, l.kind_concurrency, l.gap, l.burst, l.kind_gap, l.kind_burst, l.key_concurrency, l.key_gap, l.key_burst)
     is distinct from (excluded.concurrency, excluded.kind_concurrency, excluded.gap, excluded.burst, excluded.kind_gap, excluded.kind_burst, excluded.key_concurrency,
       excluded.key_gap, excluded.key_burst);
  delete from pawl.queue_limit l using pawl.queue q where q.id = l.queue_id and not pawl.is_limited(q);
  select pawl.bound_paces();
$$;

-- Writes what an application's code defines. An older revision never overwrites a newer one, and an app never overwrites another app's definitions.
-- {"application", "revision", "payload_bytes_max",
--  "queues": [{"name", "retry", "timeout_ms", "shards", "concurrency", "kind_concurrency", "rate", "kind_rate", "key_concurrency", "key_rate", "breaker", "on_dead",
--    "expired_is_dead", "keep", "is_default": the app does not configure it}],
--  "streams": [{"queue", "kind", "version", "retry", "timeout_ms"}]}
create or replace function pawl.register_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
begin
  -- one registration at a time: two workers that start together must not deadlock on rows
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  insert into pawl.setting as s (name, value)
  values ('payload_bytes_max', p_definitions -> 'payload_bytes_max')
  on conflict (name) do nothing; -- of several apps, the largest counts: own_names_v1

  insert into pawl.queue as q (name, retry, timeout_ms, shards, concurrency, kind_concurrency, rate, kind_rate, key_concurrency,
    key_rate, breaker, on_dead, expired_is_dead, keep, application, revision)
  select d.name, d.retry, d.timeout_ms, coalesce(d.shards, 1), d.concurrency, d.kind_concurrency, nullif(d.rate, 'null'),
         nullif(d.kind_rate, 'null'), d.key_concurrency, nullif(d.key_rate, 'null'), nullif(d.breaker, 'null'), coalesce(d.on_dead, 'block'), coalesce(d.expired_is_dead, false), d.keep,
         case when d.is_default then '' else v_application end, v_revision
    from jsonb_to_recordset(p_definitions -> 'queues') as d (name text, retry jsonb, timeout_ms int, shards smallint,
      concurrency int, kind_concurrency int, rate jsonb, kind_rate jsonb, key_concurrency int, key_rate jsonb, breaker jsonb, on_dead text,
      expired_is_dead boolean, keep jsonb, is_default boolean)
   order by d.name
  on conflict (name) do update
     set retry = excluded.retry, timeout_ms = excluded.timeout_ms, shards = excluded.shards,
         concurrency = excluded.concurrency, kind_concurrency = excluded.kind_concurrency, rate = excluded.rate,
         kind_rate = excluded.kind_rate, key_concurrency = excluded.key_concurrency, key_rate = excluded.key_rate, breaker = excluded.breaker, on_dead = excluded.on_dead, expired_is_dead = excluded.expired_is_dead,
         keep = excluded.keep,
         application = excluded.application, revision = excluded.revision, defined_at = pawl.now()
   where q.application = '' or (q.application = excluded.application and q.revision <= excluded.revision);

  perform pawl.set_limits();
  perform pawl.end_breakers_v1(array(
    select b.stream_id from pawl.breaker b join pawl.stream st on st.id = b.stream_id join pawl.queue q on q.id = st.queue_id
     where q.breaker is null), 'its queue has no breaker any more');

  insert into pawl.stream as st (queue_id, kind, version, retry, timeout_ms, application, revision, defined_at)
  select q.id, d.kind, coalesce(d.version, 1), d.retry, d.timeout_ms, v_application, v_revision, pawl.now()
    from jsonb_to_recordset(p_definitions -> 'streams')
      as d (queue text, kind text, version int, retry jsonb, timeout_ms int)
    join pawl.queue q on q.name = d.queue
   order by d.kind, q.id
  on conflict (kind, queue_id, version) do update
     set retry = excluded.retry, timeout_ms = excluded.timeout_ms, application = excluded.application,
         revision = excluded.revision, defined_at = excluded.defined_at
   where st.defined_at is null or st.application = ''
      or (st.application = excluded.application and st.revision <= excluded.revision);

  perform pawl.make_shards(st.id) from pawl.stream st where st.application = v_application order by st.id;
end $$;
