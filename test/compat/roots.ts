/** What the types already refuse: it has what a transaction never has. */

import type { Knex } from "knex";
import type { Kysely } from "kysely";
import type { InTransaction } from "pawl";
import type { Sql } from "postgres";
import type { PrismaClient } from "./prisma/client.js";

type Refused<Root> = Root extends NonNullable<InTransaction["tx"]> ? never : true;

export const refused: [
  Refused<PrismaClient>,
  Refused<Kysely<unknown>>,
  Refused<Knex>,
  Refused<Sql>,
] = [true, true, true, true];
