import { expect, test } from "vitest";
import { freshStore } from "../support/database.ts";
import { dumpSchema } from "../support/schema-dump.ts";

test("R108: the migrations make the schema that was reviewed (`npm run schema` writes it anew)", async () => {
  const store = await freshStore({ max: 1 });
  await expect(await dumpSchema(store)).toMatchFileSnapshot("../../docs/schema.txt");
});
