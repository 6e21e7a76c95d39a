import { expect, test } from "vitest";
import { serverFault } from "../../src/foreign/fault.ts";
import { adapted, rowsOf } from "../../src/foreign/transaction.ts";

class Repository {}

test("R109: what is of no known library is refused by what it is, with the page to read", () => {
  const refused = (tx: unknown) => () => adapted(tx);
  expect(refused(new Repository())).toThrow(
    "tx: this is no open transaction: an instance of `Repository` is of no library that Pawl knows, and has no method `query(text, values)`; docs/orm/README.md lists",
  );
  expect(refused({ tx: 1 })).toThrow("a plain object is of no library");
  expect(refused(() => undefined)).toThrow("a plain function is of no library");
  expect(refused("tx")).toThrow("a string is of no library");
});

test("R109: one whose every property throws is refused, and nothing of it is called", () => {
  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error("read");
      },
    },
  );
  expect(() => adapted(hostile)).toThrow(/of no library that Pawl knows/);
  expect(() => rowsOf(hostile)).toThrow("answered neither an array of rows nor `{ rows }`");
});

test("R109: what the server said is found inside the errors of libraries, a library's own code is not taken for it", () => {
  const driver = { code: "25P02", message: "aborted", hint: "roll back" };
  const fault = { code: "25P02", message: "aborted", hint: "roll back" };
  expect(serverFault({ message: "Failed query", cause: driver })).toEqual(fault);
  expect(serverFault({ name: "QueryFailedError", driverError: driver })).toEqual(fault);
  expect(serverFault({ name: "DatabaseError", original: driver, parent: driver })).toEqual(fault);
  const prisma = { cause: { originalCode: "25P02", originalMessage: "aborted" } };
  expect(serverFault({ code: "P2010", meta: { driverAdapterError: prisma } })).toEqual({
    code: "25P02",
    message: "aborted",
  });
  expect(serverFault({ code: "P2028", message: "Transaction already closed" })).toBeUndefined();
  expect(serverFault(new Error("Transaction query already complete"))).toBeUndefined();
  const circle: { cause?: unknown } = {};
  circle.cause = circle;
  expect(serverFault(circle)).toBeUndefined();
});
