/** The directory of a relative path; empty for a name without one. */
export const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

/** The last part of a relative path. */
export const baseNameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
