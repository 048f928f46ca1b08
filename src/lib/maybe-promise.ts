/** A value, or a promise of it if another thread or an asynchronous operation produces it. */
export type MaybePromise<T> = T | Promise<T>;
