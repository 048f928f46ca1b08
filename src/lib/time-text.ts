/** RFC 3339 with a zone: a time without one would be a guess. */
const RFC_3339 =
  /^\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** True if the text has the form of a time by RFC 3339. Its day may not exist. */
export const isTimeText = (text: string): boolean => RFC_3339.test(text);
