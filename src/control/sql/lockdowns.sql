-- Tells once of each time that everything is off: for the fleet, or on a host.

-- What nobody has been told of, and what has ended since.
create or replace function pawl.changed_lockdowns() returns table (host text, is_off boolean, since timestamptz, until timestamptz, off_by text, why text)
language sql stable as $$
  select n.* from pawl.lockdowns_now() n left join pawl.lockdown l on l.host = n.host
   where case when n.is_off then l.host is null or n.since <> l.since else l.host is not null end
$$;

create or replace function pawl.are_changed_lockdowns_v1() returns boolean
language sql stable as $$ select exists (select 1 from pawl.changed_lockdowns()) $$;

-- Tells of each once, where a route wants it; whichever worker looks first. Returns them: host '' is the fleet.
create or replace function pawl.tell_lockdowns_v1() returns table (host text, off_by text, why text)
language plpgsql volatile
set lock_timeout = '2s' as $$
#variable_conflict use_column
declare
  v_one record;
begin
  for v_one in select c.* from pawl.changed_lockdowns() c order by c.host loop
    if not v_one.is_off then
      delete from pawl.lockdown l where l.host = v_one.host;
      continue;
    end if;
    insert into pawl.lockdown as l (host, since) values (v_one.host, coalesce(v_one.since, pawl.now()))
    on conflict (host) do update set since = excluded.since where v_one.since is not null and l.since <> excluded.since;
    continue when not found; -- another worker has told it
    if pawl.is_wanted('pawl' || '.lockdown') then
      insert into pawl.event (name, aggregate_type, aggregate_id, payload)
      values ('pawl' || '.lockdown', case when v_one.host = '' then 'fleet' else 'host' end, case when v_one.host = '' then 'all' else v_one.host end,
        jsonb_build_object('host', nullif(v_one.host, ''), 'since', coalesce(v_one.since, pawl.now()), 'until', v_one.until, 'by', v_one.off_by,
          'why', v_one.why));
    end if;
    return query select v_one.host, v_one.off_by, v_one.why;
  end loop;
end $$;
