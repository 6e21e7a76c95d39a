-- Enqueue: one call for one task or many, in the caller's transaction.

-- For everybody: any queue but those of parts.
create or replace function pawl.enqueue(p_tasks jsonb) returns table (id bigint, outcome text)
language plpgsql volatile security definer as $$
begin
  return query select e.id, e.outcome from pawl.put_tasks(p_tasks, false) e;
end $$;

-- What the typed API calls, in transactions of its users too, whose drivers read numbers each in its own way: ids are text.
-- p_xid: nothing is written, and no row answered, unless this is the transaction; null: whatever it is.
create or replace function pawl.enqueue_each_v1(p_tasks jsonb, p_xid text) returns table (id text, outcome text)
language plpgsql volatile as $$
begin
  if p_xid <> coalesce(pg_current_xact_id_if_assigned()::text, '') then return; end if;
  return query select e.id::text, e.outcome from pawl.put_tasks(p_tasks, false) e;
end $$;

-- The same for many tasks that differ only in their payloads: p_task as above without "payload", p_payloads an array.
-- What the typed API calls for tasks without key and lane, with one target: there is nothing to tell apart.
-- ids: of all of them, in their order, with commas between. A row for each task costs both sides more than the ids.
create or replace function pawl.enqueue_many_v1(p_task jsonb, p_payloads jsonb, p_xid text default null) returns table (ids text)
language plpgsql volatile as $$
declare
  v_now timestamptz := pawl.now();
  v_run_at timestamptz;
  v_expires_at timestamptz;
  v_state text;
  v_attempts smallint := (p_task ->> 'max_attempts')::smallint;
  v_meta jsonb := p_task -> 'meta';
  v_ref text := p_task ->> 'ref';
  v_stream int;
  v_queue int;
  v_shards int[];
begin
  if jsonb_array_length(p_payloads) = 0 or p_xid <> coalesce(pg_current_xact_id_if_assigned()::text, '') then return; end if;
  perform pawl.check_tasks(jsonb_build_array(p_task));
  v_run_at := coalesce((p_task ->> 'run_at')::timestamptz,
    v_now + (p_task ->> 'delay_ms')::bigint * interval '1 ms', v_now);
  v_expires_at := coalesce((p_task ->> 'expires_at')::timestamptz,
    v_now + (p_task ->> 'ttl_ms')::bigint * interval '1 ms');
  v_state := case when v_run_at > v_now then 'scheduled' else 'ready' end;
  perform pawl.check_payloads(jsonb_build_array(p_task), '{meta}');
  perform pawl.check_payloads(p_payloads, null);
  perform pg_current_xact_id(); -- before the first seq
  select g.stream_id, g.queue_id, g.shards into v_stream, v_queue, v_shards
    from pawl.target_of(p_task ->> 'kind', p_task ->> 'queue', p_task ->> 'version', p_task ->> 'priority', false) g;
  return query with put as (
    insert into pawl.task as t (shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts, payload, meta, ref)
    select v_shards[1 + p.seq % cardinality(v_shards)], v_queue, p.seq, v_state,
           v_run_at, v_now, v_expires_at, v_attempts, p.payload, v_meta, v_ref
      from (select e.payload, nextval('pawl.seq') as seq from jsonb_array_elements(p_payloads) e (payload)) p
    returning t.id)
  select string_agg(p.id::text, ',') from put p;
  perform pawl.wake_v1(array[v_stream]);
end $$;
