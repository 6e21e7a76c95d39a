-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'operate';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('operate', 'reader', '{}', array['select on pawl.audit']),
  ('operate', 'operator', '{audit_v1}', '{}'),
  ('operate', 'worker', '{audit_v1}', '{}'); -- its process delivers, rescues and tries requests when somebody asks for it
