-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'requests';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('requests', 'reader', '{requests_v1}', '{}'),
  ('requests', 'operator', '{add_key_v1, rotate_key_v1, remove_key_v1}', array['update (secrets) on pawl.key']);
