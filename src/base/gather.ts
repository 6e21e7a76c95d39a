/**
 * Puts calls that come at about the same time into one. While `calls` of them are under way, further ones wait and go together with the
 * next; a call that comes alone goes at once.
 */

interface Waiting<In, Out> {
  readonly what: In;
  readonly resolve: (answer: Out | Promise<Out>) => void;
  readonly reject: (error: unknown) => void;
}

/** `send` answers in the order of what it gets, at most `most` at a time; an answer may be a promise. `calls`: how many may be under way. */
export function gather<In, Out>(
  send: (all: In[]) => Promise<readonly (Out | Promise<Out>)[]>,
  { most, calls }: { most: number; calls: number },
): (what: In) => Promise<Out> {
  const waiting: Waiting<In, Out>[] = [];
  let underWay = 0;
  let isPlanned = false;
  const go = async (batch: Waiting<In, Out>[]) => {
    underWay += 1;
    try {
      const answers = await send(batch.map((one) => one.what));
      for (const [i, one] of batch.entries()) one.resolve(answers[i] as Out | Promise<Out>);
    } catch (error) {
      for (const one of batch) one.reject(error);
    } finally {
      underWay -= 1;
      plan();
    }
  };
  const plan = () => {
    if (isPlanned || waiting.length === 0 || underWay >= calls) return;
    isPlanned = true;
    setImmediate(() => {
      isPlanned = false;
      go(waiting.splice(0, most)).catch(() => undefined); // each of the batch has heard
      plan();
    });
  };
  return (what) =>
    new Promise<Out>((resolve, reject) => {
      waiting.push({ what, resolve, reject });
      plan();
    });
}
