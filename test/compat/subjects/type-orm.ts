import { DataSource, type EntityManager } from "typeorm";
import { FAILS, INSERT, type Own, type Subject } from "../subject.ts";

const own = (manager: EntityManager): Own => ({
  insert: (n) => manager.query(`${INSERT} ($1)`, [n]),
  fail: () => manager.query(FAILS),
  savepoint: (inner) => manager.transaction((nested) => inner(nested)),
});

export async function subject(url: string): Promise<Subject> {
  const source = await connect(url);
  return {
    library: "TypeORM",
    roots: [source, source.manager],
    close: () => source.destroy(),
    transaction: (work) => source.transaction((manager) => work(manager, own(manager))),
  };
}

/** The transactions that the app ends itself. */
export async function runner(url: string): Promise<Subject> {
  const source = await connect(url);
  const idle = source.createQueryRunner();
  return {
    library: "TypeORM",
    roots: [idle],
    close: () => source.destroy(),
    transaction: async (work) => {
      const queryRunner = source.createQueryRunner();
      await queryRunner.startTransaction();
      try {
        await work(queryRunner, own(queryRunner.manager));
        await queryRunner.commitTransaction();
      } catch (error) {
        await queryRunner.rollbackTransaction();
        throw error;
      } finally {
        await queryRunner.release();
      }
    },
  };
}

function connect(url: string): Promise<DataSource> {
  return new DataSource({ type: "postgres", url, poolSize: 2 }).initialize();
}
