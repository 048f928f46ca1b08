export interface Random {
  /** Uniform in 0 … 2^32−1. */
  u32(): number;
}
