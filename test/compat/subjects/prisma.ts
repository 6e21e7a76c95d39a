import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "../prisma/client.js";
import { FAILS, type Own, type Subject } from "../subject.ts";

/** Prisma's own limit of a transaction is 5 s; a machine that stalls would be refused. */
const LIMITS = { maxWait: 600_000, timeout: 600_000 };

type Tx = Parameters<Parameters<PrismaClient["$transaction"]>[0]>[0];

const own = (tx: Tx): Own => ({
  insert: (n) => tx.invoice.create({ data: { n } }),
  fail: () => tx.$executeRawUnsafe(FAILS),
  savepoint: async (inner) => {
    await tx.$executeRawUnsafe("savepoint inner_one");
    try {
      await inner(tx);
      await tx.$executeRawUnsafe("release savepoint inner_one");
    } catch (error) {
      await tx.$executeRawUnsafe("rollback to savepoint inner_one");
      throw error;
    }
  },
});

export async function subject(url: string): Promise<Subject> {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) });
  return {
    library: "Prisma",
    roots: [prisma],
    close: () => prisma.$disconnect(),
    transaction: (work) => prisma.$transaction((tx) => work(tx, own(tx)), LIMITS),
  };
}
