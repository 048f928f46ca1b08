/** Ids of records that wait: a name of a schedule cannot look like one. */
const PREFIX = "delayed:";
const ID = /^delayed:([1-9]\d{0,15})$/;

export const scheduleText = (scheduleId: number): string => `${PREFIX}${scheduleId}`;

/** @returns null if the text is not an id. */
export function scheduleIdOf(text: string): number | null {
  const id = Number(ID.exec(text)?.[1] ?? Number.NaN);
  return Number.isSafeInteger(id) ? id : null;
}
