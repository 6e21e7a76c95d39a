import { Sequelize, type Transaction } from "sequelize";
import { FAILS, INSERT, type Own, type Subject } from "../subject.ts";

export async function subject(url: string): Promise<Subject> {
  const sequelize = new Sequelize(url, { logging: false, pool: { max: 2 } });
  const own = (transaction: Transaction): Own => ({
    insert: (n) => sequelize.query(`${INSERT} ($1)`, { bind: [n], transaction }),
    fail: () => sequelize.query(FAILS, { transaction }),
    savepoint: (inner) => sequelize.transaction({ transaction }, (nested) => inner(nested)),
  });
  return {
    library: "Sequelize",
    roots: [sequelize],
    close: () => sequelize.close(),
    transaction: (work) =>
      sequelize.transaction((transaction) => work(transaction, own(transaction))),
  };
}
