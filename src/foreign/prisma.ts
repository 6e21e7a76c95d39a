/** Prisma: `prisma.$transaction(async (tx) => …)`. */

import { type Found, hasMethods } from "./library.ts";

const library = "Prisma";

export interface PrismaTransaction {
  $queryRawUnsafe(text: string, ...values: never[]): PromiseLike<unknown>;
  /** Only the root client has it. */
  $connect?: never;
}

export function prisma(given: unknown): Found {
  if (!hasMethods(given, "$queryRawUnsafe")) return undefined;
  if (hasMethods(given, "$connect")) {
    return {
      library,
      refusal:
        "it is the root client; pass the `tx` that `prisma.$transaction(async (tx) => …)` gives",
    };
  }
  const tx = given as { $queryRawUnsafe: (text: string, ...values: unknown[]) => unknown };
  return {
    library,
    isOneTransaction: true,
    query: (text, values) => tx.$queryRawUnsafe(text, ...values),
  };
}
