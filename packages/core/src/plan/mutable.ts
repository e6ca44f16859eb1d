/** A plan refills one arguments object instead of making one per run. */
export type Mutable<T> = { -readonly [K in keyof T]: T[K] }
