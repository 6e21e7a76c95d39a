/** What must be there. */
export async function present<T>(found: Promise<T | undefined>): Promise<T> {
  const value = await found;
  if (value === undefined) throw new Error("it is not there");
  return value;
}
