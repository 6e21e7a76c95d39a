-- What the code of an app defines, operators change there.

-- Refuses what the code owns. p_here: what works here too.
create or replace function pawl.refuse_owned_by_code(p_what text, p_application text, p_here text) returns void
language plpgsql immutable as $$
begin
  if p_application is null then return; end if;
  raise exception '% is defined in the code of app "%"', p_what, p_application using errcode = 'PW015', hint = 'change it there; ' || p_here || ' work here too';
end $$;
