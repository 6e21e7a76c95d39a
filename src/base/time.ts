/** Points in time that both JavaScript and PostgreSQL can write down. */

const YEAR_MAX = 9_999;

/** Of the years 1 to 9999: others have a form of their own in JavaScript, which PostgreSQL does not read. */
export function isStorableTime(time: Date): boolean {
  const year = time.getUTCFullYear();
  return year >= 1 && year <= YEAR_MAX;
}
