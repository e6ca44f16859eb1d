import { test } from 'vitest'
import { kvLayout, readToken, readTokens } from '@polymla/core'
import { attend } from './oracle/attend.js'
import { fillPages } from './cases/page-pool.js'
import { Random } from './random.js'
const t = <T>(what: string, f: () => T): T => { f(); f(); const s = performance.now(); let r = f(); for (let i=0;i<9;i++) r=f(); console.log(what, (performance.now() - s)/10); return r }
test('bench', () => {
  for (const format of ['bf16','fp8-584','fp8-656','e4m3'] as const) {
  const layout = kvLayout({ format, pages: 64 })
  const storage = fillPages(new Random(1), layout, new Int32Array(64).fill(64))
  const w = layout.headDim
  t(format+' alloc', () => new Float64Array(4096 * w).fill(0))
  const keys = new Float64Array(4096 * w)
  t('readToken', () => { for (let i = 0; i < 4096; i++) readToken(layout, storage, i >> 6, i & 63, 0, keys, i * w, 1) })
  t('readTokens', () => { for (let i = 0; i < 64; i++) readTokens(layout, storage, i, 0, 64, 0, keys, i * w*64, 1) })
  const q = new Float64Array(w).map(() => Math.random())
  t('attend', () => attend(q, keys, 4096, 512, 0.04))
  }
}, 600000)
