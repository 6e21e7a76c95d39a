import { EntitySchema, MikroORM, type SqlEntityManager } from "@mikro-orm/postgresql";
import { FAILS, INSERT, type Own, type Subject } from "../subject.ts";

const invoice = new EntitySchema<{ n: number }>({
  name: "Invoice",
  tableName: "invoice",
  properties: { n: { type: "integer", primary: true } },
});

const own = (em: SqlEntityManager): Own => ({
  insert: (n) => em.execute(`${INSERT} (?)`, [n]),
  fail: () => em.execute(FAILS),
  savepoint: (inner) => em.transactional((nested) => inner(nested)),
});

export async function subject(url: string): Promise<Subject> {
  const orm = await MikroORM.init({
    entities: [invoice],
    clientUrl: url,
    pool: { min: 0, max: 2 },
    discovery: { warnWhenNoEntities: false },
  });
  return {
    library: "MikroORM",
    roots: [orm.em, orm.em.fork()],
    close: () => orm.close(),
    transaction: (work) => orm.em.fork().transactional((em) => work(em, own(em))),
  };
}
