-- Requests: tasks of the queue "requests" whose kind names the host they go to, so that each host has a breaker and a
-- limit of its own; and the keys that operators made for signing them.

create index task_of_tenant on pawl.task ((meta #>> '{tenant,company}'), id) where meta ? 'tenant';
create index dead_of_tenant on pawl.dead ((meta #>> '{tenant,company}'), id) where meta ? 'tenant';
create index finished_of_tenant on pawl.finished ((meta #>> '{tenant,company}'), id) where meta ? 'tenant';

-- The kind of requests to a host. A stream stays for ever, so beyond 500 hosts, and for very long names, 64 are shared.
create function pawl.request_kind(p_host text) returns text
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

-- p_requests: tasks as pawl.enqueue takes them, whose payload names the host, without "kind" and "queue".
create function pawl.send_v1(p_requests jsonb) returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_kinds jsonb;
  v_tasks jsonb;
  v_are_new boolean;
begin
  if jsonb_array_length(p_requests) = 0 then return; end if;
  select jsonb_object_agg(h.host, pawl.request_kind(h.host)) into v_kinds
    from (select distinct e.task #>> '{payload,host}' as host from jsonb_array_elements(p_requests) e (task)) h;
  v_are_new := exists (select 1 from jsonb_each_text(v_kinds) k where not exists (
    select 1 from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.kind = k.value and q.name = 'requests'));
  select jsonb_agg(e.task || jsonb_build_object('queue', 'requests', 'kind', v_kinds ->> (e.task #>> '{payload,host}'))
      order by e.place)
    into v_tasks from jsonb_array_elements(p_requests) with ordinality e (task, place);
  return query select e.id, e.outcome from pawl.enqueue(v_tasks) e;
  -- workers read the streams every few seconds: a new one is worth a word, and so is one that none has told of yet
  perform pg_notify('pawl.wake', '') where v_are_new;
  perform pawl.wake_v1() where not v_are_new and exists (
    select 1 from jsonb_each_text(v_kinds) k join pawl.stream st on st.kind = k.value
     where not exists (select 1 from pawl.worker w where w.ended_at is null and st.id = any (w.streams)));
end $$;

-- Requests wherever they are, the newest first; null: any. status: of the last answer.
create function pawl.requests_v1(p_id bigint, p_host text, p_company text, p_plugin text, p_state text, p_limit int)
returns table (id bigint, state text, reason text, method text, url text, host text, company text, plugin text,
  attempt smallint, attempts int, created_at timestamptz, run_at timestamptz, expires_at timestamptz, ended_at timestamptz,
  status int, error jsonb)
language plpgsql stable as $$
declare
  -- each index is used only by a statement that has its condition
  v_where text := concat_ws(' and ',
    's.stream_id in (select st.id from pawl.stream st join pawl.queue q on q.id = st.queue_id where q.name = ''requests'')',
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
        select t.id, case when c.no is not null then 'running' else t.state end as state, null::text as reason, h.stream_id,
               t.payload, t.meta, (t.attempt + (c.no is not null)::int)::smallint as attempt, t.created_at, t.run_at,
               t.expires_at, null::timestamptz as ended_at, t.last_error as error, null::jsonb as result
          from pawl.task t join pawl.shard h on h.id = t.shard_id
          left join pawl.claim c on c.shard_id = t.shard_id and t.state = 'ready' and t.seq = any (c.seqs)) s
        where %1$s order by s.id desc limit $6)
      union all
      (select * from (
        select d.id, 'dead'::text, d.reason, d.stream_id, d.payload, d.meta, d.attempt, d.created_at, d.run_at, d.expires_at,
               d.died_at, d.error, null::jsonb from pawl.dead d) s (id, state, reason, stream_id, payload, meta, attempt,
               created_at, run_at, expires_at, ended_at, error, result)
        where %1$s order by s.id desc limit $6)
      union all
      (select * from (
        select f.id, f.outcome, null::text, f.stream_id, f.payload, f.meta, f.attempt, f.created_at, f.run_at, null::timestamptz,
               f.finished_at, f.error, f.result from pawl.finished f) s (id, state, reason, stream_id, payload, meta,
               attempt, created_at, run_at, expires_at, ended_at, error, result)
        where %1$s order by s.id desc limit $6)
    )
    select f.id, f.state, f.reason, f.payload ->> 'method', f.payload ->> 'url', f.payload ->> 'host',
           f.meta #>> '{tenant,company}', f.meta #>> '{tenant,plugin}', f.attempt, (f.payload ->> 'attempts')::int,
           f.created_at, f.run_at, f.expires_at, f.ended_at,
           coalesce(f.result ->> 'status', f.error #>> '{data,status}')::int, f.error
      from found f order by f.id desc limit $6$q$, v_where)
  using p_id, p_host, p_company, p_plugin, p_state, p_limit;
end $$;

-- What operators made beside the keys of code. secrets: the current one first, then those that it replaced; each
-- {"env"}, {"file"}, or {"sealed", "context"}.
create table pawl.key (
  name text primary key,
  algorithm text not null,
  kid text,
  secrets jsonb not null check (jsonb_typeof(secrets) = 'array'),
  changed_at timestamptz not null default pawl.now(),
  changed_by text not null
);

create function pawl.add_key_v1(p_name text, p_algorithm text, p_kid text, p_secret jsonb, p_by text, p_why text) returns void
language plpgsql volatile as $$
begin
  insert into pawl.key (name, algorithm, kid, secrets, changed_by)
  values (p_name, p_algorithm, p_kid, jsonb_build_array(p_secret), coalesce(nullif(p_by, ''), current_user))
  on conflict (name) do nothing;
  if not found then
    raise exception 'there is a key "%" already', p_name using errcode = 'PW016',
      hint = 'rotate it with pawl keys rotate, or choose another name';
  end if;
  perform pawl.audit_v1(p_by, 'add', 'key:' || p_name, p_why, jsonb_build_object('algorithm', p_algorithm, 'kid', p_kid));
end $$;

-- The new secret goes before the others, of which p_keep stay. Answers whether there is such a key.
create function pawl.rotate_key_v1(p_name text, p_kid text, p_secret jsonb, p_keep int, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
begin
  update pawl.key k
     set secrets = jsonb_build_array(p_secret) || coalesce((select jsonb_agg(e.secret order by e.place)
           from jsonb_array_elements(k.secrets) with ordinality e (secret, place) where e.place <= p_keep), '[]'),
         kid = coalesce(p_kid, k.kid), changed_at = pawl.now(), changed_by = coalesce(nullif(p_by, ''), current_user)
   where k.name = p_name;
  if not found then return false; end if;
  perform pawl.audit_v1(p_by, 'rotate', 'key:' || p_name, p_why, jsonb_build_object('kid', p_kid, 'keep', p_keep));
  return true;
end $$;

create function pawl.remove_key_v1(p_name text, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
begin
  delete from pawl.key k where k.name = p_name;
  if not found then return false; end if;
  perform pawl.audit_v1(p_by, 'remove', 'key:' || p_name, p_why, null);
  return true;
end $$;
