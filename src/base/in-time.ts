/** Foreign work under a signal: a deadline, and the ends of those who wait for it. */

/** Work that does not heed its signal is given up after this. */
const DEAF_MS = 5_000;

export interface InTimeOptions {
  timeoutMs: number;
  /** What the signal aborts with at the deadline. */
  timedOut: () => Error;
  /** Each aborts the work too, with its own reason. */
  signals?: readonly AbortSignal[];
}

/**
 * Answers as `work` does, or rejects with the signal's reason 5 s after the signal has aborted. Nothing stays on `signals`, which may
 * live as long as the process: `AbortSignal.any` would keep, for as long, whatever its listeners hold.
 */
export async function inTime<T>(
  { timeoutMs, timedOut, signals = [] }: InTimeOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(timedOut()), timeoutMs);
  try {
    return await following([deadline.signal, ...signals], (signal) =>
      heeding(signal, () => work(signal)),
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Answers as `work` does, or rejects with the signal's reason 5 s after it has aborted. */
export async function heeding<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let deaf: NodeJS.Timeout | undefined;
  let giveUp: () => void = () => undefined;
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = () => {
      deaf = setTimeout(() => reject(signal.reason as Error), DEAF_MS);
    };
  });
  if (signal.aborted) giveUp();
  else signal.addEventListener("abort", giveUp);
  try {
    return await Promise.race([work(), givenUp]);
  } finally {
    clearTimeout(deaf);
    signal.removeEventListener("abort", giveUp);
  }
}

/** Runs `work` with a signal that aborts as soon as one of `signals` does. */
export async function following<T>(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const undo: Array<() => void> = [];
  for (const signal of signals) {
    const abort = () => controller.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    undo.push(() => signal.removeEventListener("abort", abort));
  }
  try {
    return await work(controller.signal);
  } finally {
    for (const one of undo) one();
  }
}
