/** The types of the generated client that the tests use, as Prisma writes them. */
import type * as runtime from "@prisma/client/runtime/client";

export declare const PrismaClient: new (options: { adapter: object }) => PrismaClient;

export interface PrismaClient {
  $connect(): runtime.Types.Utils.JsPromise<void>;
  $disconnect(): runtime.Types.Utils.JsPromise<void>;
  $on(event: string, callback: (event: object) => void): PrismaClient;
  $executeRawUnsafe<T = unknown>(
    query: string,
    ...values: unknown[]
  ): runtime.Types.Public.PrismaPromise<T>;
  $queryRawUnsafe<T = unknown>(
    query: string,
    ...values: unknown[]
  ): runtime.Types.Public.PrismaPromise<T>;
  $transaction<R>(
    work: (tx: Omit<PrismaClient, runtime.ITXClientDenyList>) => runtime.Types.Utils.JsPromise<R>,
    options?: { maxWait?: number; timeout?: number },
  ): runtime.Types.Utils.JsPromise<R>;
  invoice: {
    create(given: { data: { n: number } }): runtime.Types.Public.PrismaPromise<{ n: number }>;
  };
}
