/**
 * Python's `random` module, exactly (CPython: `random.seed(integer)`, `random.random`, `random.normalvariate`), so that
 * lengths drawn here are those of measurements that were made from Python.
 */
export class PythonRandom {
  readonly #state = new Uint32Array(624)
  #next = 624

  /** `seed`: an integer in [0, 2^32). */
  constructor(seed: number) {
    // init_by_array of MT19937 (Matsumoto and Nishimura, 2002) with the one-word key that Python makes of the seed.
    const mt = this.#state
    mt[0] = 19650218
    for (let i = 1; i < 624; i++) mt[i] = Math.imul(1812433253, mt[i - 1] ^ (mt[i - 1] >>> 30)) + i
    let i = 1
    const advance = () => {
      if (++i >= 624) {
        mt[0] = mt[623]
        i = 1
      }
    }
    for (let k = 0; k < 624; k++) {
      mt[i] = (mt[i] ^ Math.imul(mt[i - 1] ^ (mt[i - 1] >>> 30), 1664525)) + seed
      advance()
    }
    for (let k = 0; k < 623; k++) {
      mt[i] = (mt[i] ^ Math.imul(mt[i - 1] ^ (mt[i - 1] >>> 30), 1566083941)) - i
      advance()
    }
    mt[0] = 0x80000000
  }

  /** Uniform in [0, 1), 53 bits. */
  random(): number {
    return ((this.#word() >>> 5) * 2 ** 26 + (this.#word() >>> 6)) / 2 ** 53
  }

  /** Normal, by the method of Kinderman and Monahan (1977), which Python uses. */
  normal(mean: number, deviation: number): number {
    const magic = (4 * Math.exp(-0.5)) / Math.sqrt(2)
    for (;;) {
      const u1 = this.random()
      const u2 = 1 - this.random()
      const z = (magic * (u1 - 0.5)) / u2
      if ((z * z) / 4 <= -Math.log(u2)) return mean + z * deviation
    }
  }

  #word(): number {
    if (this.#next === 624) this.#refill()
    let y = this.#state[this.#next++]
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  #refill(): void {
    const mt = this.#state
    for (let i = 0; i < 624; i++) {
      const y = (mt[i] & 0x80000000) | (mt[(i + 1) % 624] & 0x7fffffff)
      mt[i] = mt[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.#next = 0
  }
}
