-- The keys that operators made for signing requests.

create or replace function pawl.add_key_v1(p_name text, p_algorithm text, p_kid text, p_secret jsonb, p_by text, p_why text) returns void
language plpgsql volatile as $$
begin
  insert into pawl.key (name, algorithm, kid, secrets, changed_by)
  values (p_name, p_algorithm, p_kid, jsonb_build_array(p_secret), coalesce(nullif(p_by, ''), session_user))
  on conflict (name) do nothing;
  if not found then
    raise exception 'there is a key "%" already', p_name using errcode = 'PW016',
      hint = 'rotate it with pawl keys rotate, or choose another name';
  end if;
  perform pawl.audit_v1(p_by, 'keys.add', 'key:' || p_name, p_why, jsonb_build_object('algorithm', p_algorithm, 'kid', p_kid));
end $$;

-- The new secret goes before the others, of which p_keep stay. Answers whether there is such a key.
create or replace function pawl.rotate_key_v1(p_name text, p_kid text, p_secret jsonb, p_keep int, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
begin
  update pawl.key k
     set secrets = jsonb_build_array(p_secret) || coalesce((select jsonb_agg(e.secret order by e.place)
           from jsonb_array_elements(k.secrets) with ordinality e (secret, place) where e.place <= p_keep), '[]'),
         kid = coalesce(p_kid, k.kid), changed_at = pawl.now(), changed_by = coalesce(nullif(p_by, ''), session_user)
   where k.name = p_name;
  if not found then return false; end if;
  perform pawl.audit_v1(p_by, 'keys.rotate', 'key:' || p_name, p_why, jsonb_build_object('kid', p_kid, 'keep', p_keep));
  return true;
end $$;

create or replace function pawl.remove_key_v1(p_name text, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
begin
  delete from pawl.key k where k.name = p_name;
  if not found then return false; end if;
  perform pawl.audit_v1(p_by, 'keys.remove', 'key:' || p_name, p_why, null);
  return true;
end $$;
