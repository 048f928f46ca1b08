/** A promise where whoever knows it is on another thread, or has to ask. */
export type Soon<T> = T | Promise<T>;
