-- Requests: tasks of the queue "requests" whose kind names the host they go to, so that each host has a breaker and a
-- limit of its own.

insert into pawl.part_queue (like_pattern, part, hint) values ('requests', 'requests', 'a request is written by pawl.request of the app')
on conflict (like_pattern) do update set hint = excluded.hint;

-- The kind of requests to a host. A stream stays for ever, so beyond 500 hosts, and for very long names, 64 are shared.
create or replace function pawl.request_kind(p_host text) returns text
language plpgsql stable as $$
declare
  v_own text := 'request:' || p_host;
  v_queue int := (select q.id from pawl.queue q where q.name = 'requests');
begin
  if length(v_own) <= 200 and (
    exists (select 1 from pawl.stream st where st.kind = v_own and st.queue_id = v_queue)
    or (select count(*) from pawl.stream st where st.queue_id = v_queue and st.kind not like 'request:#%') < 500) then
    return v_own;
  end if;
  return 'request:#' || ((hashtext(p_host)::bigint + 2147483648) % 64);
end $$;

-- p_requests: tasks as pawl.enqueue takes them, whose payload names the host, without "kind" and "queue". p_xid as in enqueue_each_v1.
create or replace function pawl.send_v1(p_requests jsonb, p_xid text default null) returns table (id text, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_kinds jsonb;
  v_tasks jsonb;
  v_are_new boolean;
begin
  if jsonb_array_length(p_requests) = 0 or p_xid <> coalesce(pg_current_xact_id_if_assigned()::text, '') then return; end if;
  select jsonb_object_agg(h.host, pawl.request_kind(h.host)) into v_kinds
    from (select distinct e.task #>> '{payload,host}' as host from jsonb_array_elements(p_requests) e (task)) h;
  v_are_new := exists (select 1 from jsonb_each_text(v_kinds) k where not exists (
    select 1 from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.kind = k.value and q.name = 'requests'));
  select jsonb_agg(e.task || jsonb_build_object('queue', 'requests', 'kind', v_kinds ->> (e.task #>> '{payload,host}'))
      order by e.place)
    into v_tasks from jsonb_array_elements(p_requests) with ordinality e (task, place);
  return query select e.id::text, e.outcome from pawl.put_tasks(v_tasks, true) e;
  -- workers read the streams every few seconds: a new one is worth a word, and so is one that none has told of yet
  perform pg_notify('pawl.wake', '') where v_are_new;
  perform pawl.wake_v1() where not v_are_new and exists (
    select 1 from jsonb_each_text(v_kinds) k join pawl.stream st on st.kind = k.value
     where not exists (select 1 from pawl.worker w where w.ended_at is null and st.id = any (w.streams)));
end $$;

-- Requests wherever they are, the newest first; null: any. status: of the last answer.
create or replace function pawl.requests_v1(p_id bigint, p_host text, p_company text, p_plugin text, p_state text, p_limit int)
returns table (id bigint, state text, reason text, method text, url text, host text, company text, plugin text,
  attempt smallint, attempts int, created_at timestamptz, run_at timestamptz, expires_at timestamptz, ended_at timestamptz,
  status int, error jsonb)
language plpgsql stable as $$
declare
  -- each index is used only by a statement that has its condition
  v_where text := concat_ws(' and ',
    's.queue = ''requests''',
    case when p_id is not null then 's.id = $1' end,
    case when p_host is not null then 's.payload ->> ''host'' = $2' end,
    case when p_company is not null or p_plugin is not null then 's.meta ? ''tenant''' end,
    case when p_company is not null then 's.meta #>> ''{tenant,company}'' = $3' end,
    case when p_plugin is not null then 's.meta #>> ''{tenant,plugin}'' = $4' end,
    case when p_state is not null then 's.state = $5' end);
begin
  return query execute format($q$
    with found as (
      (select * from (
        select t.id, t.state, null::text as reason, t.queue, t.payload, t.meta, t.attempt, t.created_at, t.run_at, t.expires_at,
               null::timestamptz as ended_at, t.error, null::jsonb as result from pawl.task_live_v1 t) s
        where %1$s order by s.id desc limit $6)
      union all
      (select * from (
        select d.id, 'dead' as state, d.reason, d.queue, d.payload, d.meta, d.attempt, d.created_at, d.run_at, d.expires_at,
               d.died_at, d.error, null::jsonb from pawl.task_dead_v1 d) s
        where %1$s order by s.id desc limit $6)
      union all
      (select * from (
        select f.id, f.outcome as state, null::text, f.queue, f.payload, f.meta, f.attempt, f.created_at, f.run_at, null::timestamptz,
               f.ended_at, f.error, f.result from pawl.task_ended_v1 f) s
        where %1$s order by s.id desc limit $6)
    )
    select f.id, f.state, f.reason, f.payload ->> 'method', f.payload ->> 'url', f.payload ->> 'host',
           f.meta #>> '{tenant,company}', f.meta #>> '{tenant,plugin}', f.attempt, (f.payload ->> 'attempts')::int,
           f.created_at, f.run_at, f.expires_at, f.ended_at,
           coalesce(f.result ->> 'status', f.error #>> '{data,status}')::int, f.error
      from found f order by f.id desc limit $6$q$, v_where)
  using p_id, p_host, p_company, p_plugin, p_state, p_limit;
end $$;
