-- What of this part can be turned off: destinations, each with its queue, and routes.
insert into pawl.scope_kind (kind, names, is_queue, unknown) values
  ('destination', 'destination_names', true, 'PW018'),
  ('route', 'route_names', false, 'PW017')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, unknown = excluded.unknown;

create or replace function pawl.destination_names() returns setof text
language sql stable as $$ select d.name from pawl.destination d where d.removed_at is null $$;

create or replace function pawl.route_names() returns setof text
language sql stable as $$ select r.id::text from pawl.route r $$;

-- A router at work does not know of the switch yet: it ends first. What is turned on has no fault any more.
create or replace function pawl.on_switch(p_scope text, p_name text, p_is_off boolean) returns void
language plpgsql volatile as $$
begin
  if p_scope <> 'route' then return; end if;
  if p_is_off then
    perform pawl.wait_for_router();
    perform from pawl.route r where r.id = p_name::int for key share;
    if not found then raise exception 'no route %', p_name using errcode = 'PW017', hint = 'it was removed meanwhile'; end if;
  else
    update pawl.route r set fault = null, fault_at = null, fault_event = null where r.id = p_name::int;
  end if;
end $$;

-- A route takes its switch with it, whoever removes it.
create or replace function pawl.route_removed() returns trigger
language plpgsql volatile as $$
begin
  delete from pawl.switch w where w.scope = 'route' and w.name = old.id::text;
  return null;
end $$;
