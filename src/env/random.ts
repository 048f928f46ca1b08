export interface Random {
  /** Returns an integer that is uniformly distributed in 0 … 2^32−1. */
  u32(): number;
}
