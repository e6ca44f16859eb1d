// The oracle's inner loops, in AssemblyScript: as the TypeScript around them would compute, 8 to 12 times faster. Arguments are
// addresses in the module's memory. Keys are float32, queries and all sums float64. scripts/make-kernels.mjs compiles this.

/** dst[i] = table[src[i]] · scale, of bytes; `count` is a multiple of 4. */
export function lookUp8(src: usize, count: i32, table: usize, scale: f64, dst: usize): void {
  for (const end = src + count; src < end; src += 4, dst += 16) {
    const codes = load<u32>(src)
    store<f32>(dst, <f32>(<f64>load<f32>(table + ((codes & 0xff) << 2)) * scale))
    store<f32>(dst, <f32>(<f64>load<f32>(table + ((codes >> 6) & 0x3fc)) * scale), 4)
    store<f32>(dst, <f32>(<f64>load<f32>(table + ((codes >> 14) & 0x3fc)) * scale), 8)
    store<f32>(dst, <f32>(<f64>load<f32>(table + ((codes >> 22) & 0x3fc)) * scale), 12)
  }
}

/** dst[i] = table[src[i]], of codes of 16 bits; `count` is even. */
export function lookUp16(src: usize, count: i32, table: usize, dst: usize): void {
  for (const end = src + 2 * count; src < end; src += 4, dst += 8) {
    const codes = load<u32>(src)
    store<f32>(dst, load<f32>(table + ((codes & 0xffff) << 2)))
    store<f32>(dst, load<f32>(table + ((codes >> 14) & 0x3fffc)), 4)
  }
}

/** dst[i] = the number whose upper 16 bits are src[i] and whose lower ones are 0; `count` is a multiple of 4. */
export function widen(src: usize, count: i32, dst: usize): void {
  for (const end = src + 2 * count; src < end; src += 8, dst += 16) {
    v128.store(dst, i32x4.shl(v128.load16x4_u(src), 16))
  }
}

@inline
function two(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at))
}

@inline
function plus(sum: v128, a: v128, b: v128): v128 {
  return f64x2.add(sum, f64x2.mul(a, b))
}

@inline
function total(sums: v128): f64 {
  return f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1)
}

@inline
function store4(at: usize, a: v128, b: v128, c: v128, d: v128): void {
  store<f64>(at, total(a))
  store<f64>(at, total(b), 8)
  store<f64>(at, total(c), 16)
  store<f64>(at, total(d), 24)
}

/** scores[j] = q · keys[j] of `count` keys, a multiple of 4. */
export function scores1(q: usize, keys: usize, width: i32, count: i32, scores: usize): void {
  const row = <usize>width << 2
  const last = q + (<usize>width << 3)
  for (const end = scores + (<usize>count << 3); scores < end; scores += 32, keys += row << 2) {
    let a0 = f64x2.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    for (let x = q, k = keys; x < last; x += 16, k += 8) {
      const p = v128.load(x)
      a0 = plus(a0, p, two(k))
      a1 = plus(a1, p, two(k + row))
      a2 = plus(a2, p, two(k + 2 * row))
      a3 = plus(a3, p, two(k + 3 * row))
    }
    store4(scores, a0, a1, a2, a3)
  }
}

/** As {@link scores1} of two queries, [2, width], to [2, count]. */
export function scores2(q: usize, keys: usize, width: i32, count: i32, scores: usize): void {
  const row = <usize>width << 2
  const other = <usize>width << 3
  const below = <usize>count << 3
  for (const end = scores + below; scores < end; scores += 32, keys += row << 2) {
    let a0 = f64x2.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (let x = q, last = q + other, k = keys; x < last; x += 16, k += 8) {
      const p = v128.load(x)
      const r = v128.load(x + other)
      let c = two(k)
      a0 = plus(a0, p, c)
      b0 = plus(b0, r, c)
      c = two(k + row)
      a1 = plus(a1, p, c)
      b1 = plus(b1, r, c)
      c = two(k + 2 * row)
      a2 = plus(a2, p, c)
      b2 = plus(b2, r, c)
      c = two(k + 3 * row)
      a3 = plus(a3, p, c)
      b3 = plus(b3, r, c)
    }
    store4(scores, a0, a1, a2, a3)
    store4(scores + below, b0, b1, b2, b3)
  }
}

/** out += Σ weights[j] · keys[j] over `count` keys, a multiple of 4, of their first `dims` numbers, an even number. */
export function values1(weights: usize, keys: usize, width: i32, count: i32, out: usize, dims: i32): void {
  const row = <usize>width << 2
  const last = out + (<usize>dims << 3)
  for (const end = weights + (<usize>count << 3); weights < end; weights += 32, keys += row << 2) {
    const a0 = v128.load64_splat(weights)
    const a1 = v128.load64_splat(weights, 8)
    const a2 = v128.load64_splat(weights, 16)
    const a3 = v128.load64_splat(weights, 24)
    for (let o = out, k = keys; o < last; o += 16, k += 8) {
      const sum = plus(plus(plus(f64x2.mul(a0, two(k)), a1, two(k + row)), a2, two(k + 2 * row)), a3, two(k + 3 * row))
      v128.store(o, f64x2.add(v128.load(o), sum))
    }
  }
}

/** As {@link values1} of two rows of weights, [2, count], to [2, dims]. */
export function values2(weights: usize, keys: usize, width: i32, count: i32, out: usize, dims: i32): void {
  const row = <usize>width << 2
  const below = <usize>count << 3
  const other = <usize>dims << 3
  const last = out + other
  for (const end = weights + below; weights < end; weights += 32, keys += row << 2) {
    const a0 = v128.load64_splat(weights)
    const a1 = v128.load64_splat(weights, 8)
    const a2 = v128.load64_splat(weights, 16)
    const a3 = v128.load64_splat(weights, 24)
    const from = weights + below
    const b0 = v128.load64_splat(from)
    const b1 = v128.load64_splat(from, 8)
    const b2 = v128.load64_splat(from, 16)
    const b3 = v128.load64_splat(from, 24)
    for (let o = out, k = keys; o < last; o += 16, k += 8) {
      const c0 = two(k)
      const c1 = two(k + row)
      const c2 = two(k + 2 * row)
      const c3 = two(k + 3 * row)
      const a = plus(plus(plus(f64x2.mul(a0, c0), a1, c1), a2, c2), a3, c3)
      const b = plus(plus(plus(f64x2.mul(b0, c0), b1, c1), b2, c2), b3, c3)
      v128.store(o, f64x2.add(v128.load(o), a))
      v128.store(o + other, f64x2.add(v128.load(o + other), b))
    }
  }
}
