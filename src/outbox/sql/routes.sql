-- What operators do to routes.

-- Adds a route (p_id null) or changes an operator's: {"pattern", "destination", "filter", "path", "priority", "active", "on"}.
-- on: its switch goes too; without it, a route that is off stays off.
create or replace function pawl.put_route_v1(p_id int, p_route jsonb, p_by text, p_why text, p_action text default null) returns int
language plpgsql volatile as $$
declare
  v_destination int;
  v_id int := p_id;
begin
  perform pawl.refuse_unreadable('route to "' || (p_route ->> 'destination') || '"', p_route);
  select d.id into v_destination from pawl.destination d where d.name = p_route ->> 'destination' and d.removed_at is null;
  if not found then
    raise exception 'no destination "%"', p_route ->> 'destination' using errcode = 'PW018',
      hint = coalesce('known: ' || (select string_agg(d.name, ', ' order by d.name) from pawl.destination d where d.removed_at is null), 'there is none yet');
  end if;
  if p_id is null then
    insert into pawl.route (pattern, destination_id, filter, path, priority, active)
    values (p_route ->> 'pattern', v_destination, pawl.filter_of(p_route -> 'filter'), pawl.path_of(p_route ->> 'path'),
            coalesce((p_route ->> 'priority')::smallint, 1), coalesce((p_route ->> 'active')::boolean, true))
    returning id into v_id;
  else
    perform pawl.operators_route(p_id);
    update pawl.route r
       set pattern = p_route ->> 'pattern', destination_id = v_destination, filter = pawl.filter_of(p_route -> 'filter'),
           path = pawl.path_of(p_route ->> 'path'), priority = coalesce((p_route ->> 'priority')::smallint, 1),
           active = coalesce((p_route ->> 'active')::boolean, true), fault = null, fault_at = null, fault_event = null,
           defined_at = pawl.now()
     where r.id = p_id;
    if (p_route ->> 'on')::boolean then delete from pawl.switch w where w.scope = 'route' and w.name = p_id::text; end if;
  end if;
  perform pawl.audit_v1(p_by, coalesce(p_action, case when p_id is null then 'routes.add' else 'routes.edit' end), 'route:' || v_id, p_why, p_route);
  return v_id;
end $$;

create or replace function pawl.operators_route(p_id int) returns pawl.route
language plpgsql stable as $$
declare
  v_row pawl.route;
begin
  select r.* into v_row from pawl.route r where r.id = p_id;
  if not found then
    raise exception 'no route %', p_id using errcode = 'PW017', hint = 'see `pawl routes list`';
  end if;
  if v_row.application is not null then
    raise exception 'route % is defined in the code of "%"', p_id, v_row.application using errcode = 'PW015',
      hint = 'change it there; turning it off and on works here too';
  end if;
  return v_row;
end $$;

create or replace function pawl.remove_route_v1(p_id int, p_by text, p_why text) returns void
language plpgsql volatile as $$
declare
  v_row pawl.route := pawl.operators_route(p_id);
begin
  delete from pawl.route r where r.id = p_id;
  perform pawl.audit_v1(p_by, 'routes.remove', 'route:' || p_id, p_why, to_jsonb(v_row));
end $$;

-- A condition took too long for an event: its route is turned off, once, and people are told.
create or replace function pawl.disable_route_v1(p_id int, p_event uuid, p_why text) returns boolean
language plpgsql volatile as $$
begin
  perform pawl.wait_for_router(); -- before the gate, as everywhere
  perform pg_advisory_xact_lock(pawl.gate_lock()); -- what follows sees what another router has done
  update pawl.route r set fault = p_why, fault_at = pawl.now(), fault_event = p_event
   where r.id = p_id and r.active and not pawl.is_off('route', r.id::text);
  if not found then return false; end if;
  perform pawl.off_v1('route:' || p_id, 'pawl', p_why, null, 'routes.turnOff');
  if pawl.is_wanted('pawl' || '.route.disabled') then
    insert into pawl.event (name, aggregate_type, aggregate_id, payload)
    select 'pawl' || '.route.disabled', 'route', r.id, jsonb_build_object('route', r.id::text, 'pattern', r.pattern, 'destination', d.name,
             'condition', r.path::text, 'why', p_why, 'eventId', p_event)
      from pawl.route r join pawl.destination d on d.id = r.destination_id where r.id = p_id;
  end if;
  return true;
end $$;
